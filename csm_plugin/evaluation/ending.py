"""How a recording ends, and whether it is about as long as its text."""

from dataclasses import dataclass

import numpy as np

from csm_plugin.settings import SAMPLE_RATE_HZ

LONG_SILENCE_S = 0.6
"""More silence than this behind the last sound is a fault."""

SHORTEST, LONGEST = 0.5, 1.7
"""Plausible lengths of speech, as factors on `expected_s`.

flite's eight voices of csm-tiny's corpus read the held-out sentences between 0.64 and 1.37 times as long as expected.
"""

_BASE_S, _S_PER_CHARACTER = 0.42, 0.055  # least squares over those 800 recordings, pauses at the ends left out
_WINDOW_S = 0.02
_SOUND = 0.05  # of the level of speech (-26 dB): less is silence
_BROKEN = 0.2  # of the level of speech: a recording that is still as loud at its end was cut


@dataclass(frozen=True, slots=True)
class Ending:
    """The sound of a recording.

    Args:
        speech_s: from the first sound to the last.
        silence_s: behind the last sound.
        broken_off: it is loud to its end, as a recording that was cut.
    """

    speech_s: float
    silence_s: float
    broken_off: bool


def ending(audio: np.ndarray) -> Ending:
    """Look at a recording, float32 [samples] at 24 kHz, with all of its silence."""
    size = int(_WINDOW_S * SAMPLE_RATE_HZ)
    windows = np.pad(audio, (-len(audio) % size, 0)).reshape(-1, size)  # padded in front: the end is what counts
    power = (windows.astype(np.float64) ** 2).mean(axis=1)
    if not power.any():
        return Ending(0.0, len(audio) / SAMPLE_RATE_HZ, False)
    level = np.sqrt(power[power > 0.05 * power.mean()].mean())
    loudness = np.sqrt(power) / level
    sound = np.flatnonzero(loudness > _SOUND)
    return Ending(
        speech_s=float(sound[-1] + 1 - sound[0]) * _WINDOW_S,
        silence_s=float(len(loudness) - 1 - sound[-1]) * _WINDOW_S,
        broken_off=bool(loudness[-1] > _BROKEN),
    )


def expected_s(text: str) -> float:
    """How long a text with all numbers written out takes at an ordinary pace, in seconds, without pauses around it."""
    return _BASE_S + _S_PER_CHARACTER * len(text)
