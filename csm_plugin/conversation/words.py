"""The words of a spoken text, and when each is heard."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it is spoken, in seconds since its utterance began.

    Args:
        text: with its punctuation; the words of an utterance, joined with single spaces, are its text.
        start_s: when it begins.
        end_s: when it ends.
    """

    text: str
    start_s: float
    end_s: float


def split_words(text: str) -> list[str]:
    """Split a text at its single spaces, so that `" ".join` gives it back.

    Further white space stays with the word before it, or with the first word. No word is empty unless the text is.
    """
    words: list[str] = []
    for piece in text.split(" "):
        if words and (not piece or words[-1].isspace() or not words[-1]):
            words[-1] += " " + piece
        else:
            words.append(piece)
    return words
