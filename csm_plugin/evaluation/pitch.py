"""The pitch of speech, and how two recordings of one sentence agree in it."""

import numpy as np

from csm_plugin.settings import SAMPLE_RATE_HZ

_LOWEST_HZ, _HIGHEST_HZ = 60.0, 400.0
_WINDOW_S, _HOP_S = 0.05, 0.02
_VOICED = 0.5  # normalised autocorrelation of a voiced frame
_FEWEST_VOICED = 5  # frames
_QUIET = 0.02  # root mean square below which there is no speech


def pitch_hz(audio: np.ndarray) -> np.ndarray:
    """Pitch of audio [n] at 24 kHz, every 20 ms, 0 where it is not voiced: float [frames].

    The highest normalised autocorrelation of a 50 ms window; among near-equal peaks the shortest lag, so that an
    octave below is not taken.
    """
    size, hop = int(_WINDOW_S * SAMPLE_RATE_HZ), int(_HOP_S * SAMPLE_RATE_HZ)
    shortest, longest = int(SAMPLE_RATE_HZ / _HIGHEST_HZ), int(SAMPLE_RATE_HZ / _LOWEST_HZ)
    span = size + longest
    if len(audio) < span:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(audio, span)[::hop].astype(np.float64)
    spectrum = np.fft.rfft(frames, 4096)
    head = np.fft.rfft(frames[:, :size], 4096)
    products = np.fft.irfft(spectrum * head.conj(), 4096)[:, : longest + 1]  # [frames, lags]
    energy = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    window_energy = energy[:, size : size + longest + 1] - energy[:, : longest + 1]
    similarity = products / np.sqrt(window_energy * window_energy[:, :1] + 1e-9)
    similarity[:, :shortest] = 0.0
    best = similarity.max(axis=1)
    peaks = (similarity[:, 1:-1] >= similarity[:, :-2]) & (similarity[:, 1:-1] >= similarity[:, 2:])
    good = peaks & (similarity[:, 1:-1] >= 0.9 * best[:, None])
    lag = good.argmax(axis=1) + 1
    loud = np.sqrt(window_energy[:, 0] / size) > _QUIET
    return np.where((best > _VOICED) & loud & good.any(axis=1), SAMPLE_RATE_HZ / lag, 0.0)


def agreement(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Correlation of the pitch of two recordings where both are voiced, and the ratio of their median pitches.

    Args:
        one, other: audio [n] at 24 kHz, aligned with each other.

    Returns:
        The correlation (nan with under 10 voiced frames in common), and median of `one` / median of `other`.
    """
    first, second = pitch_hz(one), pitch_hz(other)
    both = min(len(first), len(second))
    first, second = first[:both], second[:both]
    voiced = (first > 0) & (second > 0)
    if voiced.sum() < 10:
        return float("nan"), float("nan")
    a, b = first[voiced], second[voiced]
    correlation = float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else float("nan")
    return correlation, float(np.median(a) / np.median(b))


def median_pitch_hz(audio: np.ndarray) -> float | None:
    """The median pitch of audio [n] at 24 kHz; None where less than 0.1 s of it is voiced."""
    found = pitch_hz(audio)
    voiced = found[found > 0]
    return float(np.median(voiced)) if len(voiced) >= _FEWEST_VOICED else None
