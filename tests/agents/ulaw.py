"""G.711 µ-law by its formula, independent of what the agent uses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.int16]


def decode_ulaw(sound: bytes) -> Sound:
    """G.711 µ-law to int16, by the formula."""
    code = ~np.frombuffer(sound, np.uint8)
    exponent, mantissa = (code >> 4) & 7, code & 15
    size = ((mantissa.astype(np.int32) << 3) + 132 << exponent) - 132
    return np.where(code & 128, -size, size).astype(np.int16)


def encode_ulaw(samples: npt.NDArray[np.float32]) -> bytes:
    """Sound in [-1, 1] as G.711 µ-law, by the formula."""
    linear = np.clip(np.rint(samples * 32767), -32635, 32635).astype(np.int32)
    biased = np.abs(linear) + 132
    exponent = np.floor(np.log2(biased)).astype(np.int32) - 7
    mantissa = (biased >> (exponent + 3)) & 15
    code = (np.where(linear < 0, 128, 0) | (exponent << 4) | mantissa) ^ 255
    return code.astype(np.uint8).tobytes()


def ulaw_step(samples: Sound) -> npt.NDArray[np.int32]:
    """How far apart µ-law's values are around samples: its error is at most half of that, and a rounding."""
    exponent = np.floor(np.log2(np.minimum(np.abs(samples.astype(np.int32)), 32635) + 132)).astype(np.int32) - 7
    return (1 << (exponent + 3)).astype(np.int32)
