"""Real-time conversational speech for voice agents, on Sesame's CSM.

Importing this package is light: torch and transformers load with the first use of `Engine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csm_plugin import errors
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling

if TYPE_CHECKING:
    from csm_plugin.engine import Conversation, Engine, SpeechChunk, Utterance

__version__ = "0.1.0"

__all__ = [
    "FRAME_SAMPLES",
    "SAMPLE_RATE_HZ",
    "Conversation",
    "Engine",
    "Sampling",
    "SpeechChunk",
    "Utterance",
    "errors",
]

_ENGINE_NAMES = frozenset({"Conversation", "Engine", "SpeechChunk", "Utterance"})


def __getattr__(name: str) -> Any:
    if name in _ENGINE_NAMES:
        from csm_plugin import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
