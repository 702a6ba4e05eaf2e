"""Decoding what the server encoded."""

from __future__ import annotations

import io

import av
import numpy as np


def decode(data: bytes, rate: int = 24_000) -> np.ndarray:
    """Decode a sound file with FFmpeg: float32 [samples], mono."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(io.BytesIO(data)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])


def pitch_of(sound: np.ndarray, rate: int = 24_000) -> float:
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * rate / len(sound))
