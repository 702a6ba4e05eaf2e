"""Sound in memory: one channel, float32 in [-1, 1] inside, int16 at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from csm_plugin.errors import AudioError

MIN_RATE_HZ = 8_000
"""The lowest sample rate that is taken."""

MAX_RATE_HZ = 192_000
"""The highest sample rate that is taken."""

MAX_AUDIO_S = 120.0
"""Seconds of sound that are taken at once, unless a caller says otherwise."""

MAX_PEAK = 2.0
"""Decoders and resamplers overshoot 1 a little, which is clipped; more is another scale, which is an error."""

Pcm = npt.NDArray[np.float32]


def check_sample_rate(sample_rate: object) -> int:
    """Give `sample_rate` as an int, in Hz.

    Raises:
        AudioError: it is not a whole number from `MIN_RATE_HZ` to `MAX_RATE_HZ`.
    """
    rate = int(sample_rate) if isinstance(sample_rate, int | np.integer) and sample_rate is not True else -1
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        given = sample_rate if isinstance(sample_rate, int | float) else type(sample_rate).__name__
        raise AudioError(
            f"the sample rate is {given}; it must be a whole number of Hz from {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,}"
        )
    return rate


def check_pcm(pcm: npt.ArrayLike, sample_rate: int, *, max_seconds: float = MAX_AUDIO_S) -> Pcm:
    """Take a caller's sound in, or refuse it. Safe from any thread.

    Args:
        pcm: [samples], one channel; a float array in [-1, 1] (peaks up to `MAX_PEAK` are clipped) or an int16 array.
        sample_rate: in Hz, `MIN_RATE_HZ` to `MAX_RATE_HZ`.
        max_seconds: the longest sound allowed.

    Returns:
        float32 [samples] in [-1, 1], always a copy. int16 is divided by 32,768.

    Raises:
        AudioError: not such an array, empty, too long, or not finite; or the rate is out of range.
    """
    rate = check_sample_rate(sample_rate)
    if not isinstance(pcm, np.ndarray):
        raise AudioError(
            f"the audio is of type {type(pcm).__name__}; it must be a NumPy array of float32 in [-1, 1] or of int16"
        )
    if pcm.ndim != 1:
        raise AudioError(
            f"the audio has shape {pcm.shape}; it must be one channel, shape [samples]: "
            "mix stereo down with pcm.mean(axis=channels) or pass one channel"
        )
    if pcm.size == 0:
        raise AudioError("the audio is empty; it must hold at least one sample")
    if pcm.size > max_seconds * rate:
        raise AudioError(
            f"the audio is {pcm.size / rate:.1f} s long ({pcm.size:,} samples at {rate:,} Hz); "
            f"at most {max_seconds:g} s are allowed: cut it"
        )
    if pcm.dtype == np.int16:
        return pcm.astype(np.float32) / np.float32(32_768)
    if not np.issubdtype(pcm.dtype, np.floating):
        raise AudioError(f"the audio is of dtype {pcm.dtype}; it must be floating point in [-1, 1], or int16")
    peak = float(np.max(np.abs(pcm)))
    if not np.isfinite(peak):
        bad = int(pcm.size - np.count_nonzero(np.isfinite(pcm)))
        raise AudioError(f"{bad:,} of {pcm.size:,} audio samples are NaN or infinite; every sample must be finite")
    if peak > MAX_PEAK:
        raise AudioError(
            f"the audio peaks at {peak:.4g}; floating point must lie in [-1, 1]: divide 16-bit values by 32,768, "
            "or pass them as int16"
        )
    return np.clip(pcm, -1.0, 1.0).astype(np.float32)


def to_int16(pcm: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int16]:
    """Give float sound in [-1, 1] as 16-bit samples: `clip(rint(pcm × 32767), -32768, 32767)`.

    Every way out of the engine uses this, so that the samples are equal whichever way they take. It works sample by
    sample, so converting chunks gives the same as converting the whole.

    Args:
        pcm: float, any shape, finite.
    """
    samples: npt.NDArray[np.int16] = np.clip(np.rint(pcm * 32767), -32768, 32767).astype(np.int16)
    return samples


def resample(pcm: Pcm, from_hz: int, to_hz: int) -> Pcm:
    """Resample a whole recording; not for live streams, which need a filter with a known delay.

    Args:
        pcm: float32 [samples].

    Returns:
        float32 [round(samples × to_hz / from_hz)], give or take one; `pcm` itself if the rates are equal.

    Raises:
        AudioError: a rate is out of range.
    """
    source_hz, target_hz = check_sample_rate(from_hz), check_sample_rate(to_hz)
    if source_hz == target_hz:
        return pcm
    return np.asarray(soxr.resample(pcm, source_hz, target_hz, quality="HQ"), dtype=np.float32)
