"""Where an utterance's sound begins and ends: silence at either side is held back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SILENCE_RMS = 0.002  # -54 dBFS
MAX_LEAD_FRAMES = 25
MAX_HELD_FRAMES = 12
TAIL_FRAMES = 1


class SilenceGate:
    """Decides which frames of one utterance are delivered, and when.

    Silent frames before the first sound are dropped, at most 2 s of them. Silent frames after a sound are held until
    the next sound, which delivers them as a pause, or until the end, which drops all but one. A pause is held for at
    most 1 s.

    Args:
        trim: False delivers every frame at once.
    """

    def __init__(self, *, trim: bool) -> None:
        self._trim = trim
        self._begun = not trim
        self._held = 0
        self.lead = 0
        """Frames that were dropped before the first sound."""
        self.released = 0
        """Frames that may be delivered, counted from the first that is."""

    def push(self, pcm: npt.NDArray[np.float32]) -> None:
        """Judge the next frame [samples]; `released` then tells what may be delivered."""
        if not self._trim:
            self.released += 1
            return
        silent = bool(np.sqrt(np.mean(np.square(pcm))) < SILENCE_RMS)
        if silent and not self._begun and self.lead < MAX_LEAD_FRAMES:
            self.lead += 1
            return
        self._begun = True
        self._held += 1
        if not silent or self._held > MAX_HELD_FRAMES:
            self.released += self._held
            self._held = 0

    def finish(self) -> None:
        """The utterance ended: release the start of its tail, drop the rest."""
        self.released += min(self._held, TAIL_FRAMES)
        self._held = 0
