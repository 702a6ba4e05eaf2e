"""Text to a recording in one of the corpus' voices, with phoneme and word times."""

from dataclasses import dataclass

import numpy as np
import soxr

from training.corpus import flite
from training.corpus.flite import Interval
from training.corpus.voices import Voice
from training.errors import SynthesisError

SAMPLE_RATE = 24_000
_LEVEL = 0.1  # root mean square of every recording: one loudness for all voices
_PEAK = 0.95
_LEAD_S = 0.1  # silence kept before the first phoneme
_TAIL_S = 0.16  # and after the last: an utterance must end in a pause that can be heard
_SILENCE = "pau"
_OWN_PITCH_HZ = {"slt": None, "rms": None, "awb": 133.0}  # awb's own mean, to undo another voice's setting


@dataclass(frozen=True, slots=True)
class Recording:
    """Speech: float32 [samples] at 24 kHz, its phonemes (silences included) and its words, in seconds."""

    samples: np.ndarray
    phonemes: tuple[Interval, ...]
    words: tuple[Interval, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def speak(text: str, voice: Voice) -> Recording:
    """Speak a text.

    Args:
        text: one sentence of ASCII English, numbers written out.
        voice: who speaks.

    Returns:
        The recording: one loudness, 0.1 s of silence before it and 0.16 s after it.

    Raises:
        SynthesisError: flite is not installed, or the text has nothing in it to speak.

    Not thread-safe.
    """
    stretch = voice.scale / voice.tempo
    said = flite.say(text, voice.source, stretch, voice.pitch_hz or _OWN_PITCH_HZ[voice.source])
    spoken = [interval for interval in said.phonemes if interval.name != _SILENCE]
    if not spoken:
        raise SynthesisError(f"there is nothing to speak in a text of {len(text)} characters")

    start_s = max(0.0, spoken[0].start_s - _LEAD_S * voice.scale)
    end_s = min(len(said.samples) / said.sample_rate, spoken[-1].end_s + _TAIL_S * voice.scale)
    kept = said.samples[int(start_s * said.sample_rate) : int(end_s * said.sample_rate)]
    samples = soxr.resample(kept, said.sample_rate * voice.scale, SAMPLE_RATE, quality="HQ")
    tail = int(_TAIL_S * SAMPLE_RATE) - int((end_s - spoken[-1].end_s) / voice.scale * SAMPLE_RATE)
    samples = np.pad(_level(samples), (0, max(0, tail)))
    return Recording(
        samples=samples,
        phonemes=_moved(said.phonemes, start_s, voice.scale),
        words=_moved(said.words, start_s, voice.scale),
    )


def _level(samples: np.ndarray) -> np.ndarray:
    """Bring samples [n] to the common loudness, measured where there is speech."""
    power = samples**2
    loud = power[power > 0.05 * power.mean()].mean() ** 0.5 + 1e-6
    gain = min(1.25 * _LEVEL / loud, _PEAK / (np.abs(samples).max() + 1e-6))
    return (samples * gain).astype(np.float32)


def _moved(intervals: tuple[Interval, ...], start_s: float, scale: float) -> tuple[Interval, ...]:
    return tuple(
        Interval(item.name, max(0.0, (item.start_s - start_s) / scale), (item.end_s - start_s) / scale)
        for item in intervals
        if item.end_s > start_s
    )
