"""Which words of a text were heard when its sound was cut off."""

from __future__ import annotations

from collections.abc import Sequence

from csm_plugin.conversation.words import Word

CHARACTERS_PER_S = 14.0
"""Plain English as CSM speaks it; used for words whose times are not known, in a sound that never reached its end."""


def heard_text(text: str, heard_s: float, spoken_s: float | None, words: Sequence[Word] = ()) -> str:
    """Return the words of `text` that fit into what was heard. A word counts once half of it was heard.

    Args:
        heard_s: how much of the sound was heard, in seconds.
        spoken_s: how long the whole sound is, or None where it was cut off before its end was known.
        words: the first words of the text, with their times; at most one more had begun. Without any, time is taken to
            pass evenly over the characters.
    """
    if spoken_s is not None and heard_s >= spoken_s:
        return text
    if not words:
        return _evenly(text, heard_s, spoken_s)
    heard = [word.text for word in words if (word.start_s + word.end_s) / 2 <= heard_s]
    told = len(" ".join(word.text for word in words))
    begun = text[told + 1 :].split(" ")[0]
    if len(heard) == len(words) and begun and heard_s - words[-1].end_s >= len(begun) / 2 / CHARACTERS_PER_S:
        heard.append(begun)
    return " ".join(heard)


def _evenly(text: str, heard_s: float, spoken_s: float | None) -> str:
    if spoken_s is None:
        spoken_s = max(heard_s, len(text) / CHARACTERS_PER_S)
        if heard_s >= spoken_s:
            return text
    reach = len(text) * heard_s / spoken_s
    end = 0
    start = 0
    for word in text.split(" "):
        if start + len(word) / 2 <= reach:
            end = start + len(word)
        start += len(word) + 1
    return text[:end].rstrip()
