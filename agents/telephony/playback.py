"""When the sound that was sent to a telephone is played, and how much of it has been."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from csm_plugin.audio.decimator import TELEPHONE_RATE_HZ

MARK_SAMPLES = 640
"""A mark follows every 80 ms of sound: one frame of CSM's."""

MAX_PENDING = 1_024


class Playback:
    """Keeps account of what was sent, what is played by now, and what the provider said was played.

    The provider queues what it is sent and plays it in real time. It echoes a mark once all before it was played. After
    a `clear` it echoes the pending ones at once, which says nothing. For one event loop.

    Args:
        clock: seconds, steady.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at = clock()
        self._pending: deque[tuple[str, int]] = deque(maxlen=MAX_PENDING)  # mark, samples up to it
        self._marks = 0
        self._sent = 0  # since the last clear, as is what was played
        self._played = 0
        self._echoes = False

    @property
    def ahead_s(self) -> float:
        """How much of what was sent is still to be played, by the clock."""
        return max(0.0, self._ends_at - self._clock())

    @property
    def under_way_s(self) -> float:
        """How much of what was sent the caller has not heard for certain; by the clock until a first echo comes."""
        return (self._sent - self._played) / TELEPHONE_RATE_HZ if self._echoes else self.ahead_s

    def send(self, samples: int) -> str | None:
        """Account for sound that is about to be sent.

        Args:
            samples: how many, at 8 kHz.

        Returns:
            The name of the mark to send after it, or None if it needs none.
        """
        self._ends_at = max(self._ends_at, self._clock()) + samples / TELEPHONE_RATE_HZ
        before, self._sent = self._sent, self._sent + samples
        if before // MARK_SAMPLES == self._sent // MARK_SAMPLES:
            return None
        self._marks += 1
        self._pending.append((str(self._marks), self._sent))
        return str(self._marks)

    def clear(self) -> None:
        """What was not played yet is not going to be."""
        self._pending.clear()
        self._ends_at = self._clock()
        self._sent = self._played = 0

    def echo(self, name: str) -> None:
        """The provider played everything before a mark. Names that aren't pending are ignored."""
        if all(mark != name for mark, _ in self._pending):
            return
        self._echoes = True
        while self._pending:
            mark, self._played = self._pending.popleft()
            if mark == name:
                return
