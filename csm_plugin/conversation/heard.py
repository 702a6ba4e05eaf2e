"""Which words of a text were heard when its sound was cut off."""

from __future__ import annotations

CHARACTERS_PER_S = 14.0
"""Plain English as CSM speaks it; used for a sound that never reached its end."""


def heard_text(text: str, heard_s: float, spoken_s: float | None) -> str:
    """Return the words of `text` that fit into what was heard.

    Args:
        heard_s: how much of the sound was heard, in seconds.
        spoken_s: how long the whole sound is, or None where it was cut off before its end was known.

    Time is taken to pass evenly over the characters. A word counts once half of it was heard.
    """
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
