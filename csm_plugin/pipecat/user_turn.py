"""The user's turn: their speech cut out of what the pipeline hears, paired with what was understood of it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    UserMuteStartedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

MAX_TURN_S = 30.0
"""Of a longer turn its last part is used: as much as a voice prompt may have, a quarter of CSM's context."""

MIN_TURN_S = 0.24

MARGIN_S = 0.2
"""Kept before and after what voice activity detection calls speech: it cuts off soft beginnings and ends."""

LOOK_BACK_S = 1.0
"""How long before its announcement a turn is taken to have begun where nothing detects voice activity."""

STALE_S = 3.0

MAX_TRANSCRIPTS = 64

Pcm16 = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """What the user said.

    Args:
        text: the words, as far as known; empty if nobody transcribes.
        pcm: int16 [samples], mono.
        sample_rate: in Hz.
    """

    text: str
    pcm: Pcm16
    sample_rate: int


class InputRing:
    """The last seconds of the input, addressed by sample number since its first frame. For one event loop.

    Args:
        seconds: how much is kept.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._chunks: deque[Pcm16] = deque()
        self.sample_rate = 0
        self.start = 0
        """Number of the first sample that is kept."""
        self.end = 0
        """Number of the next sample to come."""

    def push(self, frame: InputAudioRawFrame) -> bool:
        """Add a frame, several channels as their mean; False if its rate is new, so that all before it was dropped."""
        samples = np.frombuffer(frame.audio, np.int16)
        if frame.num_channels > 1:
            samples = samples.reshape(-1, frame.num_channels).mean(axis=1).astype(np.int16)
        same = self.sample_rate in (0, frame.sample_rate)
        if not same:
            self._chunks.clear()
            self.start = self.end
        self.sample_rate = frame.sample_rate
        self._chunks.append(samples)
        self.end += len(samples)
        while self.end - self.start - len(self._chunks[0]) >= self._seconds * self.sample_rate:
            self.start += len(self._chunks.popleft())
        return same

    def cut(self, start: int, end: int) -> Pcm16:
        """Return what is kept of the samples from `start` to `end`, int16 [samples]."""
        pieces, at = [], self.start
        for chunk in self._chunks:
            if at < end and at + len(chunk) > start:
                pieces.append(chunk[max(0, start - at) : end - at])
            at += len(chunk)
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


class UserTurn:
    """Follows what the user says until the turn is taken. For one event loop; nothing here blocks.

    Speech is where voice activity detection says it is; without one, where the turn's own start and end say; without
    those there is none. Input that is muted never comes here, and a mute ends the speech before it.
    """

    def __init__(self) -> None:
        self._ring = InputRing(MAX_TURN_S + 2 * MARGIN_S)
        self._spans: list[tuple[int, int]] = []  # of speech, in samples
        self._open: int | None = None  # where speech began that goes on
        self._detected = False
        self._transcripts: deque[str] = deque(maxlen=MAX_TRANSCRIPTS)

    def observe(self, frame: Frame) -> None:
        """Take in what passes by; frames that are not about the user are ignored."""
        match frame:
            case InputAudioRawFrame():
                if not self._ring.push(frame):
                    self._spans.clear()
                    self._open = None
            case VADUserStartedSpeakingFrame():
                self._detected = True
                self._begin(time.time() - frame.timestamp + frame.start_secs + MARGIN_S)
            case VADUserStoppedSpeakingFrame():
                self._end(time.time() - frame.timestamp + frame.stop_secs - MARGIN_S)
            case UserStartedSpeakingFrame():
                self._drop_stale()
                if not self._detected:
                    self._begin(LOOK_BACK_S)
            case UserStoppedSpeakingFrame() if not self._detected:
                self._end(0.0)
            case UserMuteStartedFrame():
                self._end(0.0)
            case TranscriptionFrame() if frame.text.strip():
                self._transcripts.append(frame.text.strip())

    def take(self, text: str | None) -> HeardTurn | None:
        """End the turn and return it; what is said from now on belongs to the next one.

        Args:
            text: what was understood; None if only the transcripts that passed by tell. Then speech that goes on is
                taken to mean that the turn goes on.

        Returns:
            None if there is no speech to it.
        """
        goes_on = self._open is not None
        if goes_on and text is None:
            return None
        self._end(0.0)
        spans, words = self._spans, (" ".join(self._transcripts) if text is None else text)
        self.drop()
        if goes_on:
            self._open = self._ring.end
        length = sum(end - start for start, end in spans)
        pcm = np.concatenate([np.zeros(0, np.int16), *(self._ring.cut(start, end) for start, end in spans)])
        rate = self._ring.sample_rate
        pcm = pcm[-int(MAX_TURN_S * rate) :] if rate else pcm
        if len(pcm) < max(1, MIN_TURN_S * rate):
            return None
        return HeardTurn(_last_words(words, len(pcm) / length), pcm, rate)

    def drop(self) -> None:
        """Forget what was said; speech that goes on is kept."""
        self._spans = []
        self._transcripts.clear()

    def _drop_stale(self) -> None:
        """A turn begins: forget sounds long before it that nobody understood, such as a cough."""
        oldest = self._ring.end - STALE_S * self._ring.sample_rate
        self._spans = [span for span in self._spans if span[1] >= oldest]

    def _begin(self, ago_s: float) -> None:
        if self._open is None:
            earliest = self._spans[-1][1] if self._spans else 0
            self._open = max(earliest, self._ring.end - max(0, int(ago_s * self._ring.sample_rate)))

    def _end(self, ago_s: float) -> None:
        if self._open is not None:
            end = self._ring.end - max(0, int(ago_s * self._ring.sample_rate))
            if end > self._open:
                self._spans.append((self._open, end))
            self._open = None


def _last_words(text: str, share: float) -> str:
    """The last words of a text, where only the last part of its sound is left."""
    words = text.split()
    return " ".join(words[len(words) - round(len(words) * min(1.0, share)) :])
