"""Cutting a text into what is spoken in one go."""

from __future__ import annotations

from csm_plugin.text.normalize import check_text, is_speakable
from csm_plugin.text.sentences import split_sentences

WHOLE_CHARACTERS = 300
"""A text of up to so many characters is spoken in one go."""


def split_utterances(text: str) -> list[str]:
    """Cut a long text into sentences, without those that hold nothing speakable; a shorter text stays whole.

    Raises:
        TextError: not a string, blank, or too long.
    """
    if len(check_text(text)) <= WHOLE_CHARACTERS:
        return [text]
    return [part for part in split_sentences(text) if is_speakable(part)] or [text]
