"""Where there is speech and where silence, 10 ms at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csm_plugin.settings import FRAME_S, FRAME_SAMPLES

BLOCKS = 8
"""A frame's blocks."""

BLOCK_S = FRAME_S / BLOCKS

SILENCE_RMS = 0.002  # -54 dBFS

QUIET = 0.03
"""Share of the loudest block so far, -30 dB, below which a block is silent."""

PAUSE_BLOCKS = 10
"""So many silent blocks are a pause; fewer are the closure of a stop, and part of a word."""


class Loudness:
    """Follows the loudness of one utterance."""

    def __init__(self) -> None:
        self._loudest = 0.0
        self._silent = 2 * PAUSE_BLOCKS
        self._blocks = 0
        self.speech_s = 0.0
        """How long it has spoken, without pauses."""
        self.end_s = 0.0
        """Where the last sound ended."""

    def push(self, pcm: npt.NDArray[np.float32]) -> list[int]:
        """Return for each block of the next frame [samples] how many silent ones it ends, 0 for sound; [BLOCKS].

        Before the first sound it counts on from a pause.
        """
        rms = block_rms(pcm)
        self._loudest = max(self._loudest, float(rms.max()))
        return [self._count(loud) for loud in (rms > threshold(self._loudest)).tolist()]

    def _count(self, loud: bool) -> int:
        self._blocks += 1
        if loud:
            closure = self._silent if self._silent < PAUSE_BLOCKS else 0
            self.speech_s += (closure + 1) * BLOCK_S
            self.end_s = self._blocks * BLOCK_S
        self._silent = 0 if loud else self._silent + 1
        return self._silent


def speech_s(pcm: npt.NDArray[np.float32]) -> float:
    """Return how long a recording [samples] at 24 kHz speaks, without its pauses, in seconds."""
    rms = block_rms(pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES])
    if not len(rms):
        return 0.0
    loud = np.flatnonzero(rms > threshold(float(rms.max())))
    gaps = np.diff(loud) - 1
    return float(len(loud) + gaps[gaps < PAUSE_BLOCKS].sum()) * BLOCK_S


def block_rms(pcm: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the level of each block of whole frames [samples]."""
    return np.sqrt(np.square(pcm.reshape(-1, FRAME_SAMPLES // BLOCKS)).mean(axis=1))


def threshold(loudest: float) -> float:
    """Return the level that sound is above, in speech whose loudest block has level `loudest`."""
    return max(SILENCE_RMS, QUIET * loudest)
