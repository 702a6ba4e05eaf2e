"""How a context's positions are shared out: how long an utterance may be, when old segments go, and how many."""

from __future__ import annotations

import math
from dataclasses import dataclass

from csm_plugin.errors import ContextFullError
from csm_plugin.settings import FRAME_S

BASE_S = 2.5
S_PER_CHARACTER = 0.13
"""About twice the slowest plain reading, so that only an utterance that does not end by itself is cut off."""

MIN_SPEECH_FRAMES = 13


def longest_utterance(text: str, max_seconds: float | None) -> int:
    """Return the cap of an utterance's length in frames, from its text and the caller's limit in seconds."""
    seconds = BASE_S + S_PER_CHARACTER * len(text)
    if max_seconds is not None:
        seconds = min(seconds, max_seconds)
    return max(1, math.ceil(seconds / FRAME_S))


@dataclass(frozen=True, slots=True)
class Budget:
    """The positions of one context.

    Args:
        positions: how many the model has.
        high: once this share is used, old segments go in the next idle moment.
        low: eviction goes on down to this share, so that it is rare.
    """

    positions: int
    high: float = 0.75
    low: float = 0.5

    def is_full(self, used: int) -> bool:
        """Tell whether old segments should go when there is time."""
        return used > self.high * self.positions

    def keep(self, pinned: int) -> int:
        """Return how many positions to keep when evicting."""
        return max(int(self.low * self.positions), pinned)

    def room(self, used: int, tokens: int, wanted_frames: int) -> int:
        """Return how many frames can follow `tokens` positions more, at most `wanted_frames`; may be negative."""
        return min(wanted_frames, self.positions - used - tokens - 1)

    def check(self, pinned: int, tokens: int) -> None:
        """Make sure that a text can be spoken once everything that may go is gone.

        Args:
            pinned: positions of the voice prompt, whether it stands in front or is continued.

        Raises:
            ContextFullError: it cannot.
        """
        if self.room(pinned, tokens, MIN_SPEECH_FRAMES) < MIN_SPEECH_FRAMES:
            free = self.positions - pinned - MIN_SPEECH_FRAMES - 1
            raise ContextFullError(
                f"the text has {tokens} tokens and the context has room for {free} beside the voice prompt; "
                "split the text into sentences, or use a shorter voice prompt"
            )
