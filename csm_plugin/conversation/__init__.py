"""What was said: segments, the ledger that holds them, the budget of a context, and voices."""

from csm_plugin.conversation.budget import Budget, longest_utterance
from csm_plugin.conversation.ledger import Ledger
from csm_plugin.conversation.prepared_voice import PreparedVoice, prepare_file, prepare_voice
from csm_plugin.conversation.segment import Entry, Positions, Segment, frame_positions, text_positions
from csm_plugin.conversation.turn import Turn
from csm_plugin.conversation.utterance import SpeechChunk, Utterance
from csm_plugin.conversation.voices import VoiceLibrary, VoicePrompt
from csm_plugin.conversation.words import Word, split_words

__all__ = [
    "Budget",
    "Entry",
    "Ledger",
    "Positions",
    "PreparedVoice",
    "Segment",
    "SpeechChunk",
    "Turn",
    "Utterance",
    "VoiceLibrary",
    "VoicePrompt",
    "Word",
    "frame_positions",
    "longest_utterance",
    "prepare_file",
    "prepare_voice",
    "split_words",
    "text_positions",
]
