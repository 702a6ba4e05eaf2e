"""Requests in time: conversations, their utterances, the schedule, and the thread that owns the device."""

from csm_plugin.conversation import Segment, VoicePrompt, Word
from csm_plugin.engine.conversation import Conversation, Turn
from csm_plugin.engine.engine import Engine
from csm_plugin.engine.registry import EngineStats
from csm_plugin.engine.utterance import SpeechChunk, Utterance

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
