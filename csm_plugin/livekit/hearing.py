"""The user's turn: their speech cut out of what the session hears."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from livekit import rtc
from livekit.agents.voice import io

MAX_TURN_S = 30.0
"""Of a longer turn its last part is used: as much as a voice prompt may have, a quarter of CSM's context."""

MIN_TURN_S = 0.24

MARGIN_S = 0.2
"""Kept before and after what voice activity detection calls speech: it cuts off soft beginnings and ends."""

KEPT_S = MAX_TURN_S + 10.0
"""How much of the input is remembered: a turn, and the time until it is known to be over."""

Pcm16 = npt.NDArray[np.int16]


class Tap(io.AudioInput):
    """Passes the session's audio input on, and tells somebody of it.

    Args:
        source: the input.
        hear: is told of every frame.
    """

    def __init__(self, source: io.AudioInput, hear: Callable[[rtc.AudioFrame], None]) -> None:
        super().__init__(label="CSM", source=source)
        self.hear: Callable[[rtc.AudioFrame], None] | None = hear
        """None if nobody wants to be told any more."""

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        if self.hear is not None:
            self.hear(frame)
        return frame


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """What the user said.

    Args:
        share: how much of the turn's sound this is, 0 to 1.
        pcm: int16 [samples], mono.
        sample_rate: in Hz.
    """

    share: float
    pcm: Pcm16
    sample_rate: int


class Hearing:
    """Follows what the user says until the turn is taken. For one event loop; nothing here blocks.

    Args:
        clock: seconds since the epoch, as the session's events have them.
    """

    def __init__(self, clock: Callable[[], float] = lambda: time.time()) -> None:
        self._clock = clock
        self._chunks: deque[Pcm16] = deque()
        self._rate = 0
        self._start = 0  # number of the first sample that is kept
        self._end = 0  # number of the next sample to come
        self._spans: list[tuple[int, int]] = []
        self._open: int | None = None  # where speech began that goes on

    def push(self, frame: rtc.AudioFrame) -> None:
        """Take in a frame of the input; several channels become their mean."""
        samples = np.frombuffer(frame.data, np.int16)
        if frame.num_channels > 1:
            samples = samples.reshape(-1, frame.num_channels).mean(axis=1).astype(np.int16)
        if frame.sample_rate != self._rate:
            self._chunks.clear()
            self.drop()
            self._open, self._rate, self._start = None, frame.sample_rate, self._end
        self._chunks.append(samples.copy())
        self._end += len(samples)
        while self._end - self._start - len(self._chunks[0]) >= KEPT_S * self._rate:
            self._start += len(self._chunks.popleft())

    def begin(self, at_s: float) -> None:
        """Note that speech began, by the clock."""
        if self._open is None:
            earliest = self._spans[-1][1] if self._spans else 0
            self._open = max(earliest, self._sample_at(at_s - MARGIN_S))

    def end(self, at_s: float) -> None:
        """Note that speech ended, by the clock."""
        if self._open is not None:
            end = self._sample_at(at_s + MARGIN_S)
            if end > self._open:
                self._spans.append((self._open, end))
            self._open = None

    def drop(self) -> None:
        """Forget what was said; speech that goes on is kept."""
        self._spans.clear()

    def take(self) -> HeardTurn | None:
        """End the turn and return it; what is said from now on belongs to the next one. None without any speech."""
        goes_on = self._open is not None
        self.end(self._clock())
        spans, rate = list(self._spans), self._rate
        self.drop()
        if goes_on:
            self._open = self._end
        length = sum(end - start for start, end in spans)
        pcm = np.concatenate([np.zeros(0, np.int16), *(self._cut(start, end) for start, end in spans)])
        pcm = pcm[-int(MAX_TURN_S * rate) :] if rate else pcm
        if len(pcm) < max(1, MIN_TURN_S * rate):
            return None
        return HeardTurn(min(1.0, len(pcm) / length), pcm, rate)

    def _sample_at(self, at_s: float) -> int:
        ago_s = max(0.0, self._clock() - at_s)
        return max(0, self._end - int(ago_s * self._rate))

    def _cut(self, start: int, end: int) -> Pcm16:
        pieces, at = [], self._start
        for chunk in self._chunks:
            if at < end and at + len(chunk) > start:
                pieces.append(chunk[max(0, start - at) : end - at])
            at += len(chunk)
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


def last_words(text: str, share: float) -> str:
    """The last words of a text, where only the last part of its sound is left."""
    words = text.split()
    return " ".join(words[len(words) - round(len(words) * share) :])
