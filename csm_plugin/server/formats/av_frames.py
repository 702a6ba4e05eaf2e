"""Mono 24 kHz sound as FFmpeg takes it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from csm_plugin.settings import SAMPLE_RATE_HZ

TIME_BASE = Fraction(1, SAMPLE_RATE_HZ)


def frame_of(samples: npt.NDArray[Any], start: int) -> av.AudioFrame:
    """Return a frame.

    Args:
        samples: int16 or float32 [samples].
        start: how many samples came before.
    """
    form = "s16" if samples.dtype == np.int16 else "flt"
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format=form, layout="mono")
    frame.sample_rate = SAMPLE_RATE_HZ
    frame.time_base = TIME_BASE
    frame.pts = start
    return frame


def samples_of(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    """Return the samples of a mono frame in format "flt", float32 [samples]."""
    return np.asarray(frame.to_ndarray(), dtype=np.float32).reshape(-1)
