"""Requests in time: conversations, their utterances, the schedule, and the thread that owns the device.

Only `Engine` loads torch: whoever speaks to a server needs the other names without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csm_plugin.conversation import Segment, VoicePrompt, Word
from csm_plugin.conversation.turn import Turn
from csm_plugin.conversation.utterance import SpeechChunk, Utterance
from csm_plugin.engine.conversation import Conversation
from csm_plugin.interface import EngineStats

if TYPE_CHECKING:
    from csm_plugin.engine.engine import Engine

__all__ = [
    "Conversation",
    "Engine",
    "EngineStats",
    "Segment",
    "SpeechChunk",
    "Turn",
    "Utterance",
    "VoicePrompt",
    "Word",
]


def __getattr__(name: str) -> Any:
    if name == "Engine":
        from csm_plugin.engine.engine import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
