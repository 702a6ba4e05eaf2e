"""A user's speech, cut out of the sound that comes in all the time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_TURN_S = 30.0
"""Of a longer turn its last part is used: as much as a voice prompt may have, a quarter of CSM's context."""

MIN_TURN_S = 0.24

MARGIN_S = 0.2
"""Kept before and after what voice activity detection calls speech: it cuts off soft beginnings and ends."""

Pcm16 = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class CutSpeech:
    """The speech of a turn.

    Args:
        pcm: int16 [samples], mono.
        sample_rate: in Hz.
        share: how much of the turn's speech this is, above 0 to 1.
    """

    pcm: Pcm16
    sample_rate: int
    share: float

    def words(self, text: str) -> str:
        """Return the last words of the turn's text, where only the last part of its sound is left."""
        words = text.split()
        return " ".join(words[len(words) - round(len(words) * self.share) :])


class UserSpeech:
    """Remembers the last seconds of the input, and where in it somebody spoke. For one event loop; nothing blocks.

    Moments are given as seconds before the newest sample.

    Args:
        kept_s: how much of the input is remembered.
    """

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._chunks: deque[Pcm16] = deque()
        self._rate = 0
        self._start = 0  # number of the first sample that is kept
        self._end = 0  # number of the next sample to come
        self._spans: list[tuple[int, int]] = []  # of speech, in samples
        self._open: int | None = None  # where speech began that goes on

    @property
    def goes_on(self) -> bool:
        """Whether somebody speaks."""
        return self._open is not None

    @property
    def is_there(self) -> bool:
        """Whether somebody spoke or speaks in this turn."""
        return self.waits or self.goes_on

    @property
    def waits(self) -> bool:
        """Whether there is speech that is over and was not taken."""
        return bool(self._spans)

    def push(self, sound: bytes | memoryview, channels: int, sample_rate: int) -> None:
        """Take in the next piece of the input, int16; several channels become their mean.

        A new rate begins a new input: what came before is forgotten.
        """
        samples = np.frombuffer(sound, np.int16)
        if channels > 1:
            samples = samples.reshape(-1, channels).mean(axis=1).astype(np.int16)
        if self._rate not in (0, sample_rate):
            self._chunks.clear()
            self._spans.clear()
            self._open, self._start = None, self._end
        self._rate = sample_rate
        self._chunks.append(samples.copy())
        self._end += len(samples)
        while self._end - self._start - len(self._chunks[0]) >= self._kept_s * self._rate:
            self._start += len(self._chunks.popleft())

    def begin(self, ago_s: float) -> None:
        """Note that speech began."""
        if self._open is None:
            earliest = self._spans[-1][1] if self._spans else 0
            self._open = max(earliest, self._sample(ago_s))

    def end(self, ago_s: float = 0.0) -> None:
        """Note that speech ended."""
        if self._open is not None:
            end = self._sample(ago_s)
            if end > self._open:
                self._spans.append((self._open, end))
            self._open = None

    def drop(self) -> None:
        """Forget what was said; speech that goes on is kept."""
        self._spans = []

    def drop_before(self, ago_s: float) -> None:
        """Forget what was over so long ago."""
        oldest = self._end - ago_s * self._rate
        self._spans = [span for span in self._spans if span[1] >= oldest]

    def take(self, ended_ago_s: float = 0.0) -> CutSpeech | None:
        """End the turn and return its speech; what is said from now on belongs to the next one.

        Args:
            ended_ago_s: how long ago it ended, if it is known only now: speech that began later is the next one's too.

        Returns:
            None if there is too little of it.
        """
        last = self._sample(ended_ago_s)
        goes_on = self._open is not None and self._open <= last
        if goes_on:
            self.end()
        spans, rate = [span for span in self._spans if span[0] <= last], self._rate
        self._spans = self._spans[len(spans) :]
        if goes_on:
            self._open = self._end
        length = sum(end - start for start, end in spans)
        pcm = np.concatenate([np.zeros(0, np.int16), *(self._cut(start, end) for start, end in spans)])
        pcm = pcm[-int(MAX_TURN_S * rate) :] if rate else pcm
        if len(pcm) < max(1, MIN_TURN_S * rate):
            return None
        return CutSpeech(pcm, rate, min(1.0, len(pcm) / length))

    def _sample(self, ago_s: float) -> int:
        return max(0, self._end - max(0, int(ago_s * self._rate)))

    def _cut(self, start: int, end: int) -> Pcm16:
        pieces, at = [], self._start
        for chunk in self._chunks:
            if at < end and at + len(chunk) > start:
                pieces.append(chunk[max(0, start - at) : end - at])
            at += len(chunk)
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
