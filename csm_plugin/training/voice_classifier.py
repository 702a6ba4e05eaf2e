"""Which of the corpus' voices is speaking: a small classifier on timbre and pitch."""

from collections.abc import Sequence

import numpy as np

from csm_plugin.training.pitch import pitch_hz
from csm_plugin.training.spectra import mel_filters
from csm_plugin.training.synthesis import SAMPLE_RATE

_WINDOW, _HOP, _BANDS = 1024, 512, 32
_SPREAD = 0.05  # added to the covariance, so that a few recordings are enough
_PITCH_WEIGHT = 4.0


class VoiceClassifier:
    """Gaussians with one covariance for all voices."""

    def __init__(self, recordings: Sequence[np.ndarray], voices: Sequence[int]) -> None:
        """
        Args:
            recordings: float32 [samples] at 24 kHz, twenty or more of each voice.
            voices: who speaks in each.
        """
        features = np.stack([_features(audio) for audio in recordings])
        labels = np.asarray(voices)
        self._voices = np.unique(labels)
        self._means = np.stack([features[labels == voice].mean(axis=0) for voice in self._voices])
        centred = features - self._means[np.searchsorted(self._voices, labels)]
        covariance = centred.T @ centred / len(features) + _SPREAD * np.eye(features.shape[1])
        self._precision = np.linalg.inv(covariance)

    @property
    def voices(self) -> list[int]:
        """The voices it knows."""
        return [int(voice) for voice in self._voices]

    def __call__(self, audio: np.ndarray) -> int:
        """The voice that a recording is most likely of."""
        away = _features(audio) - self._means
        return int(self._voices[np.einsum("vi,ij,vj->v", away, self._precision, away).argmin()])


def _features(audio: np.ndarray) -> np.ndarray:
    """Mean and spread of the log-mel spectrum where there is speech, and the logarithm of the pitch."""
    padded = np.pad(audio, (0, max(0, _WINDOW - len(audio))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * np.hanning(_WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 @ mel_filters(_WINDOW, _BANDS, SAMPLE_RATE).numpy().T
    loud = power.sum(axis=1) > 0.1 * power.sum(axis=1).mean()
    mel = np.log(power[loud] + 1e-3)
    mel -= mel.mean()
    found = pitch_hz(audio)
    found = found[found > 0]
    pitch = np.log(np.median(found) / 130.0) if len(found) else 0.0
    return np.concatenate([mel.mean(axis=0), mel.std(axis=0), [_PITCH_WEIGHT * pitch]])
