"""Where in its text a voice is, frame by frame: by the model's attention, or by how long words take to say."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation.durations import Pace, expected_s
from csm_plugin.engine.word_times.loudness import BLOCK_S, BLOCKS, PAUSE_BLOCKS
from csm_plugin.engine.word_times.script import Script

Ends = npt.NDArray[np.float64]


class Reader(Protocol):
    """Follows one utterance.

    Attributes:
        ends: where each word ends, in the reader's own unit; [words], never falling.
    """

    ends: Ends

    def read(self, silent: list[int], token: float) -> list[float]:
        """Return how far the text has been read at the end of each block of the next frame; [BLOCKS].

        It stays short of the end of the last word: nobody knows how long that is drawn out. It falls where a pause
        shows that a word has not begun yet.

        Args:
            silent: how many silent blocks each block ends, 0 for sound; [BLOCKS].
            token: where the model's attention lies, as an index of the text's tokens.
        """
        ...


class AttentionReader:
    """Follows the model's attention, which moves on through the text and is wrong for moments. Counts in letters."""

    STRIDE = 2.0
    """How many letters are said in one frame, at most: about twice as many as in plain speech."""

    SPEED = 1.1
    """Letters a frame in plain speech."""

    NEAR = 1.5
    """How many letters from a pause the end of its word may seem to be."""

    def __init__(self, script: Script) -> None:
        self.ends = script.ends
        self._tokens = script.token_places
        self._stops = np.concatenate((self.ends[:-1][script.stops[:-1]], [self.ends[-1], math.inf]))
        self._place = 0.0
        self._speed = self.SPEED

    def read(self, silent: list[int], token: float) -> list[float]:
        sounds = BLOCKS - np.count_nonzero(silent)
        track = self._follow(token) if sounds > 1 and math.isfinite(token) else [self._place] * BLOCKS
        if PAUSE_BLOCKS in silent:
            block = silent.index(PAUSE_BLOCKS)
            end = _nearest(self.ends[:-1], track[block])
            if abs(end - track[block]) <= self.NEAR:
                track[block:] = [end] * (BLOCKS - block)
        self._place = track[-1]
        return track

    def _follow(self, token: float) -> list[float]:
        """Return the way from the last frame's end over this frame's middle, of which the attention tells."""
        start = self._place
        seen = float(np.interp(token, np.arange(len(self._tokens)), self._tokens))
        middle = min(max(start, seen), start + self.STRIDE, _short_of(self.ends[-1]))
        end = max(middle, min(seen, middle) + self._speed / 2)
        stop = self._stops[np.searchsorted(self._stops, middle, side="right")]
        end = min(end, _short_of(stop))  # a word before punctuation is drawn out
        self._speed += 0.2 * (end - start - self._speed)
        track = np.interp(np.arange(1, BLOCKS + 1), [0, BLOCKS / 2, BLOCKS], [start, middle, end])
        return track.tolist()


class PaceReader:
    """Takes words to last as long as they usually do at the pace of the voice, and pauses to come at punctuation.

    Counts in seconds at an ordinary pace.
    """

    NEAR_S = 0.15
    NEAR_SHARE = 0.2
    """How far from a pause its punctuation may seem to be: this, and this share of what was said since the last one."""

    LONG_BLOCKS = 20
    """A silence of so many blocks is a pause wherever it falls."""

    def __init__(self, script: Script, pace: Pace) -> None:
        self.ends = np.cumsum(expected_s(script.words))
        self._stops = self.ends[:-1][script.stops[:-1]]
        self._pace = pace
        self._limit = _short_of(self.ends[-1])
        self._place = 0.0
        self._anchor = 0.0  # where the text was at the last pause

    def read(self, silent: list[int], token: float) -> list[float]:
        step = BLOCK_S / self._pace.value
        return [self._next(blocks, step) for blocks in silent]

    def _next(self, silent: int, step: float) -> float:
        if silent == PAUSE_BLOCKS:
            began = self._place - (PAUSE_BLOCKS - 1) * step
            stop = _nearest(self._stops, began)
            if abs(stop - began) <= self.NEAR_S + self.NEAR_SHARE * (began - self._anchor):
                self._place = self._anchor = stop
        elif silent < PAUSE_BLOCKS or (silent < self.LONG_BLOCKS and self._place != self._anchor):
            self._place = max(self._place, min(self._place + step, self._limit))
        return self._place


def _nearest(places: Ends, place: float) -> float:
    """Return the one of some places that is nearest to a place; infinity, if there is none."""
    return float(places[np.abs(places - place).argmin()]) if len(places) else math.inf


def _short_of(end: float) -> float:
    return float(np.nextafter(end, 0.0))
