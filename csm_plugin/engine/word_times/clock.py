"""Turns how far a text has been read into the times of its words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation import Word
from csm_plugin.conversation.durations import Pace, expected_s
from csm_plugin.engine.word_times.loudness import BLOCK_S, PAUSE_BLOCKS, Loudness
from csm_plugin.engine.word_times.script import Script
from csm_plugin.engine.word_times.trackers import AttentionReader, PaceReader, Reader

LONGEST_LAST = 3.0
LONGEST_LAST_S = 0.3
"""The last word ends at the latest after this many times its usual length, and this: what sounds on is no word."""


class WordClock:
    """Times the words of one utterance while it is made, from its first delivered frame on.

    For the device thread only.

    Args:
        words: joined with single spaces they are the text.
        reader: follows the text.
    """

    def __init__(self, words: tuple[str, ...], reader: Reader) -> None:
        self._words = words
        self._reader = reader
        self._loudness = Loudness()
        self._ends: list[float] = reader.ends.tolist()
        self._place = 0.0  # how far the text has been read
        self._next = 0  # the first word that has not ended
        self._start_s = 0.0  # of that word
        self._heard_s = 0.0
        self._longest_last_s = LONGEST_LAST * float(expected_s(words[-1:]).sum()) + LONGEST_LAST_S

    @classmethod
    def of(cls, script: Script, pace: Pace, *, attention: bool) -> WordClock:
        """Return the clock of a text.

        Args:
            pace: of the voice.
            attention: whether the model tells where its attention lies.
        """
        follows = attention and len(script.token_places) > 0
        return cls(script.words, AttentionReader(script) if follows else PaceReader(script, pace))

    def hear(self, pcm: npt.NDArray[np.float32], token: float) -> list[Word]:
        """Return the words that were found to end with the next frame.

        Args:
            pcm: the frame, float32 [samples].
            token: where the model's attention lies, as an index of the text's tokens; NaN if that is not known.
        """
        words = []
        silent = self._loudness.push(pcm)
        for place, blocks in zip(self._reader.read(silent, token), silent, strict=True):
            words += self._move(place, blocks)
        return words

    def finish(self, *, ended: bool) -> list[Word]:
        """Return the words that are left, spread over what was spoken since the last one ended.

        Args:
            ended: whether the text was spoken to its end. If not, only a word of which half was said is left.
        """
        begin, start_s, end_s = self._begin, self._start_s, self._loudness.end_s
        if not ended:
            return [self._end_word(end_s)] if self._half_said else []
        left = self._ends[-1] - begin
        words = []
        for end in self._ends[self._next :]:
            share = (end - begin) / left if left > 0 else 1.0
            words.append(self._end_word(start_s + share * (end_s - start_s)))
        return words

    def teach(self, pace: Pace) -> None:
        """Tell a voice's pace how long it took for this text, which it has spoken to its end."""
        pace.learn(float(expected_s(self._words).sum()), self._loudness.speech_s)

    @property
    def _begin(self) -> float:
        """Where in the text the next word begins."""
        return self._ends[self._next - 1] if self._next else 0.0

    @property
    def _half_said(self) -> bool:
        return self._next < len(self._words) and self._place >= (self._begin + self._ends[self._next]) / 2

    def _move(self, place: float, silent: int) -> list[Word]:
        """Go on by one block, which ends so many silent ones, and at whose end the text is read up to `place`."""
        words = []
        before, step, self._place = self._place, place - self._place, place
        while self._next < len(self._words) and self._ends[self._next] <= place:
            share = min(1.0, max(0.0, (self._ends[self._next] - before) / step)) if step > 0 else 0.0
            blocks = share if silent < PAUSE_BLOCKS else 1 - silent
            words.append(self._end_word(self._heard_s + blocks * BLOCK_S))
        self._heard_s += BLOCK_S
        if self._next == len(self._words) - 1 and self._heard_s > self._start_s + self._longest_last_s:
            words.append(self._end_word(self._heard_s))
        if place <= self._begin:
            self._start_s = self._heard_s
        return words

    def _end_word(self, end_s: float) -> Word:
        end_s = max(end_s, self._start_s)
        word = Word(self._words[self._next], self._start_s, end_s)
        self._next += 1
        self._start_s = end_s
        return word
