"""Real-time conversational speech for voice agents, on Sesame's CSM.

Importing this package is light: everything in it loads with its first use, torch with that of `Engine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csm_plugin import errors

if TYPE_CHECKING:
    from csm_plugin.engine import Conversation, Engine, SpeechChunk, Utterance
    from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling

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
_SETTINGS_NAMES = frozenset({"FRAME_SAMPLES", "SAMPLE_RATE_HZ", "Sampling"})


def __getattr__(name: str) -> Any:
    if name in _ENGINE_NAMES:
        from csm_plugin import engine

        return getattr(engine, name)
    if name in _SETTINGS_NAMES:
        from csm_plugin import settings

        return getattr(settings, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
