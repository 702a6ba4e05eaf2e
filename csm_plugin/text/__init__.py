"""English text on its way to speech: made speakable, and cut into sentences."""

from __future__ import annotations

from csm_plugin.text.hidden import CodeReading
from csm_plugin.text.locale import Locale
from csm_plugin.text.normalize import MAX_TEXT_CHARACTERS, check_text, is_speakable, normalize
from csm_plugin.text.sentences import MAX_PIECE_CHARACTERS, SentenceSplitter, split_sentences

__all__ = [
    "MAX_PIECE_CHARACTERS",
    "MAX_TEXT_CHARACTERS",
    "CodeReading",
    "Locale",
    "SentenceSplitter",
    "check_text",
    "is_speakable",
    "normalize",
    "split_sentences",
]
