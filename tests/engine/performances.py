"""Speech that was never spoken: where a voice is in a text, frame by frame, as a model's attention would tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csm_plugin.conversation import Word
from csm_plugin.conversation.durations import Pace
from csm_plugin.engine.delivery import Delivery
from csm_plugin.engine.word_times.clock import WordClock
from csm_plugin.engine.word_times.script import Script
from csm_plugin.model.tokenizer import PlacedTokens
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES

LETTER_S = 0.07
NOISE = np.random.default_rng(0).normal(0, 0.1, FRAME_SAMPLES).astype(np.float32)


def script_of(text: str) -> Script:
    """Return the script of a text whose characters are its tokens, behind begin and "[0]"."""
    before = len("b[0]")
    starts = np.arange(-before, len(text) + 1)
    ends = np.where(starts < len(text), starts + 1, 0)
    return Script.of(text, PlacedTokens(np.zeros(len(starts), np.int32), starts, ends))


@dataclass
class Performance:
    """What a voice did.

    Args:
        starts_s: of each word.
        ends_s: of each word.
        seconds: of the sound, silence at its end included.
        lead_s: silence before that, which is generated and not delivered.
    """

    text: str
    starts_s: list[float]
    ends_s: list[float]
    seconds: float
    lead_s: float = 0.0

    @classmethod
    def of(
        cls, text: str, pauses_s: dict[int, float] | None = None, lead_s: float = 0.0, tail_s: float = 0.24
    ) -> Performance:
        """Return a steady reading of a text, with pauses behind the words of these numbers."""
        script = script_of(text)
        letters = np.diff(script.ends, prepend=0.0)
        now, starts, ends = 0.0, [], []
        for number, count in enumerate(letters):
            starts.append(now)
            now += count * LETTER_S
            ends.append(now)
            now += (pauses_s or {}).get(number, 0.0)
        return cls(text, starts, ends, now + tail_s, lead_s)

    @property
    def frames(self) -> int:
        return int(np.ceil((self.lead_s + self.seconds) / FRAME_S))

    def pcm(self) -> np.ndarray:
        """Return noise where a word is said, [frames, samples]."""
        moments_s = np.arange(self.frames * FRAME_SAMPLES) * FRAME_S / FRAME_SAMPLES - self.lead_s
        said = np.zeros(len(moments_s), dtype=bool)
        for start_s, end_s in zip(self.starts_s, self.ends_s, strict=True):
            said |= (moments_s >= start_s) & (moments_s < end_s)
        return np.where(said.reshape(self.frames, -1), NOISE, np.float32(0))

    def tokens(self) -> np.ndarray:
        """Return the token that is said in the middle of each frame; that of the last word in a pause."""
        script = script_of(self.text)
        begins = np.concatenate(([0.0], script.ends[:-1]))
        moments = np.ravel(list(zip(self.starts_s, self.ends_s, strict=True)))
        places = np.ravel(list(zip(begins, script.ends, strict=True)))
        middles_s = (np.arange(self.frames) + 0.5) * FRAME_S - self.lead_s
        said = np.interp(middles_s, moments, places)
        return np.abs(script.token_places[:, None] - said).argmin(axis=0).astype(float)


def perform(
    performance: Performance,
    tokens: Sequence[float] | None = None,
    *,
    trim: bool = True,
    ended: bool = True,
    frames: int | None = None,
    pace: Pace | None = None,
) -> tuple[list[list[Word]], list[Word]]:
    """Deliver a performance; return each frame's words, and those that came too late for a frame.

    Args:
        tokens: where the attention lies in each frame; None for a model that does not tell.
        frames: how many are made, all of them by default.
    """
    clock = WordClock.of(script_of(performance.text), pace or Pace(), attention=tokens is not None)
    delivery = Delivery(clock, trim=trim)
    places = [np.nan] * performance.frames if tokens is None else tokens
    delivered = []
    for pcm, token in list(zip(performance.pcm(), places, strict=True))[:frames]:
        delivery.push(np.zeros(8, np.int32), pcm, token)
        delivered += delivery.ready()
    last, late = delivery.finish(ended=ended)
    return [list(frame.words) for frame in [*delivered, *last]], late
