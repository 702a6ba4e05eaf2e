"""What a remote conversation has under way: utterances, and turns of the other side."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation import Entry, Word
from csm_plugin.conversation.frame_buffer import Frame, FrameBuffer
from csm_plugin.conversation.segment import Codes
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, Sampling

NO_TOKENS = np.zeros(0, np.int32)
"""Tokens are the server's business."""


@dataclass(slots=True, eq=False)
class SpeakOrder:
    """An utterance, from its order until all of it was taken.

    It may be ordered again from another server: what arrived before is then passed over.
    """

    number: int
    text: str
    sampling: Sampling  # with a seed
    entry: Entry
    ordered_s: float  # on the monotonic clock
    buffer: FrameBuffer = field(default_factory=FrameBuffer)
    begun: bool = False  # its entry is in the ledger
    told: int = 0  # frames of which the server knows that they were taken
    arrived: int = 0  # frames, from this server
    _lead: Codes | None = None
    _codes: deque[Codes] = field(default_factory=deque)  # whose sound has not arrived
    _words: deque[Word] = field(default_factory=deque)  # whose sound has not arrived
    _words_arrived: int = 0

    def order_again(self) -> None:
        """Expect everything from the start, from another server."""
        self.arrived = self._words_arrived = self.told = 0
        self._lead = None
        self._codes.clear()
        self._words.clear()

    def take_lead(self, codes: Codes) -> None:
        """Take in codes [n, codebooks] of frames that are not delivered."""
        self._lead = codes

    def take_codes(self, codes: Codes) -> None:
        """Take in codes [n, codebooks] of the next frames."""
        self._codes.extend(codes)

    def take_words(self, words: list[Word]) -> None:
        """Take in the words that end next."""
        known = len(self.entry.words)
        for word in words:
            self._words_arrived += 1
            if self._words_arrived > known:
                self._words.append(word)

    def take_sound(self, pcm: npt.NDArray[np.float32]) -> bool:
        """Take in the sound [n * 1920] of the next frames, and hand on what is new of it.

        Returns:
            whether what came again was the same as before.
        """
        same = self._settle_lead() if not self.arrived else True
        fresh: list[Frame] = []
        for start in range(0, len(pcm), FRAME_SAMPLES):
            codes = self._codes.popleft()
            at = self.entry.lead + self.arrived
            self.arrived += 1
            if at < len(self.entry.frames):
                same &= bool(np.array_equal(self.entry.frames[at], codes))
                self.entry.frames[at] = codes
            else:
                self.entry.frames.append(codes)
                frame = Frame(codes, pcm[start : start + FRAME_SAMPLES], tuple(self._words_until(self.arrived)))
                fresh.append(frame)
        self.buffer.deliver(fresh)
        return same

    def late_words(self) -> list[Word]:
        """Return words that came after all sound."""
        return self._words_until(None)

    def _settle_lead(self) -> bool:
        """Put silent frames in front that are not delivered; tell whether they are the same as before."""
        lead, entry = ([] if self._lead is None else list(self._lead)), self.entry
        same = not entry.frames or np.array_equal(np.array(entry.frames[: entry.lead]), np.array(lead))
        entry.frames[: entry.lead] = lead
        entry.lead = len(lead)
        return same

    def _words_until(self, frames: int | None) -> list[Word]:
        """Return, and note in the ledger, the words that end within so many frames."""
        words: list[Word] = []
        while self._words and (frames is None or self._words[0].end_s <= frames * FRAME_S or self._is_last_codes):
            words.append(self._words.popleft())
        self.entry.words.extend(words)
        return words

    @property
    def _is_last_codes(self) -> bool:
        """Whether this is the last frame of what arrived: all words that arrived belong to it at the latest."""
        return not self._codes


@dataclass(slots=True, eq=False)
class ListenOrder:
    """The other side's turn on its way into the context."""

    number: int
    entry: Entry
    pcm: npt.NDArray[Any]
    sample_rate: int
    ordered_s: float
    done: Future[Entry] = field(default_factory=Future)
    codes: list[Codes] = field(default_factory=list)

    def order_again(self) -> None:
        """Expect its codes from the start, from another server."""
        self.codes.clear()

    def take_codes(self, codes: Codes) -> None:
        """Take in codes [n, codebooks] of the next frames."""
        self.codes.extend(codes)
