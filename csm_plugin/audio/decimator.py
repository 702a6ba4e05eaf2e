"""From 24 kHz down to a telephone's 8 kHz while the sound is still being made."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

FACTOR: Final = 3
TELEPHONE_RATE_HZ: Final = 8_000
LOOK_AHEAD_SAMPLES: Final = 48
"""What an output sample waits for, in input samples: 2 ms at 24 kHz."""

_TAPS: Final = 2 * LOOK_AHEAD_SAMPLES + 1
_CUTOFF: Final = 3_950 / 24_000
_KAISER_BETA: Final = 8.0
_STEPS: Final = 2.0**24

Pcm16 = npt.NDArray[np.int16]


class Decimator:
    """Takes every third sample of a stream, low-passed by a symmetric FIR filter; for one thread.

    Output sample `m` stands for the moment of input sample `3m`: nothing is delayed, an output sample only waits for
    the 2 ms of input after it. Every stream gives `ceil(inputs / 3)` samples, the same ones for any chunking: the
    filter's taps are multiples of 2⁻²⁴, so that float64 sums them exactly in any order.

    Gain within 0.03 dB up to 3.4 kHz; what would fold back below 3.4 kHz is at least 80 dB down.
    """

    def __init__(self) -> None:
        self._held = _SILENCE  # the input that later output still needs

    def feed(self, samples: Pcm16) -> Pcm16:
        """Take in what comes next, and return what it completes.

        Args:
            samples: int16 [samples], 24 kHz.

        Returns:
            int16 [samples], 8 kHz; empty while there is too little input.
        """
        stretch = np.concatenate([self._held, samples])
        count = max(0, (len(stretch) - _TAPS) // FACTOR + 1)
        self._held = stretch[count * FACTOR :]
        if count == 0:
            return np.zeros(0, np.int16)
        windows = np.lib.stride_tricks.sliding_window_view(stretch, _TAPS)[::FACTOR]  # [count, taps]
        sums = np.einsum("ij,j->i", windows, _FILTER)
        return np.clip(np.rint(sums), -32768, 32767).astype(np.int16)

    def flush(self) -> Pcm16:
        """End the stream: return what is left of it, as if silence followed. The next input begins a new stream."""
        rest = self.feed(np.zeros(LOOK_AHEAD_SAMPLES, np.int16))
        self._held = _SILENCE
        return rest


def _design() -> npt.NDArray[np.float64]:
    moments = np.arange(_TAPS) - LOOK_AHEAD_SAMPLES
    taps = np.sinc(2 * _CUTOFF * moments) * np.kaiser(_TAPS, _KAISER_BETA)
    rounded: npt.NDArray[np.float64] = np.rint(taps / taps.sum() * _STEPS) / _STEPS
    return rounded


_FILTER: Final = _design()
_SILENCE: Final = np.zeros(LOOK_AHEAD_SAMPLES)
