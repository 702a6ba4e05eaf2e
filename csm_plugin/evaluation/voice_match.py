"""Whose voice a recording is in: the nearest of some reference recordings, without a trained model."""

from collections.abc import Mapping

import numpy as np
from transformers.audio_utils import mel_filter_bank

from csm_plugin.evaluation.pitch import median_pitch_hz
from csm_plugin.settings import SAMPLE_RATE_HZ

_WINDOW, _HOP = 1024, 512
_BANDS, _LOWEST_HZ, _HIGHEST_HZ = 27, 40.0, 7_500.0
_QUIET = 0.1  # of the mean power: below it a frame is a pause
_FLOOR = 1e-3  # of the mean power of speech: what lies lower is noise
_PITCH_WEIGHT = 5.0  # of a factor e in median pitch, against the distance of log spectra


class VoiceMatch:
    """Tells which reference a recording is nearest to, whatever is said in either.

    A recording is the set of its log-mel spectra, each without its own mean, where there is speech. It is as far from
    a reference as its spectra are from their nearest spectra there, on average; the difference in pitch is added. So a
    vowel is compared with the same vowel and nothing needs to be trained.

    Measured on the eight voices of csm-tiny's corpus (flite; three speakers, the others scaled from them), with one
    clip of each as reference and 2 to 4 s of other sentences: 3,960 of 3,960 right. With noise 20 dB below the speech,
    without anything above 5.5 kHz, or with a noisy fine structure: 400 of 400 each; tilted by 3 dB an octave: 396 of
    400 upwards, 361 of 400 downwards.

    Source: Soong et al. 1985, "A vector quantization approach to speaker recognition", with every frame of a reference
    as its codebook.
    """

    def __init__(self, references: Mapping[str, np.ndarray]) -> None:
        """
        Args:
            references: of each voice, by name, float32 [samples] at 24 kHz, 2 s or more.
        """
        self._references = {name: (_spectra(audio), median_pitch_hz(audio)) for name, audio in references.items()}

    @property
    def voices(self) -> list[str]:
        """The voices that it knows."""
        return list(self._references)

    def distances(self, audio: np.ndarray) -> dict[str, float]:
        """How far a recording, float32 [samples] at 24 kHz, is from each reference; empty if it is silent."""
        spectra, pitch = _spectra(audio), median_pitch_hz(audio)
        if not len(spectra):
            return {}
        found = {}
        for name, (reference, its_pitch) in self._references.items():
            found[name] = float(_nearest(spectra, reference).mean())
            if pitch and its_pitch:
                found[name] += _PITCH_WEIGHT * abs(float(np.log(pitch / its_pitch)))
        return found

    def __call__(self, audio: np.ndarray) -> str | None:
        """The voice of a recording, float32 [samples] at 24 kHz; None if it is silent."""
        distances = self.distances(audio)
        return min(distances, key=lambda name: distances[name]) if distances else None


def _nearest(spectra: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The distance [n] of each of spectra [n, bands] from the nearest of [m, bands]."""
    squares = (spectra**2).sum(axis=1)[:, None] + (reference**2).sum(axis=1) - 2 * spectra @ reference.T
    return np.sqrt(np.maximum(squares.min(axis=1), 0.0))


def _spectra(audio: np.ndarray) -> np.ndarray:
    """Log-mel spectra [frames, bands] where there is speech, each without its mean."""
    padded = np.pad(audio, (0, max(0, _WINDOW - len(audio))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * np.hanning(_WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 @ _FILTERS
    loudness = power.sum(axis=1)
    speech = power[loudness > _QUIET * loudness.mean()]
    if not len(speech):
        return speech
    logs = np.log(speech + _FLOOR * speech.mean())
    return logs - logs.mean(axis=1, keepdims=True)


def _filters() -> np.ndarray:
    """Triangular filters [bins, bands], each summing to one."""
    filters = mel_filter_bank(_WINDOW // 2 + 1, _BANDS, _LOWEST_HZ, _HIGHEST_HZ, SAMPLE_RATE_HZ)
    return filters / filters.sum(axis=0)


_FILTERS = _filters()
