"""Encodes a recording into codes, a little at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from csm_plugin.model.mimi import Mimi, StreamState
from csm_plugin.model.rows import Rows
from csm_plugin.settings import FRAME_SAMPLES


class Encoding:
    """A recording on its way through the codec's encoder; the last frame is filled up with silence.

    For the device thread only.

    Args:
        pcm: float32 [samples], mono, 24 kHz.
    """

    def __init__(self, mimi: Mimi, pcm: npt.NDArray[np.float32]) -> None:
        padding = -len(pcm) % FRAME_SAMPLES
        self._mimi = mimi
        self._pcm = torch.from_numpy(np.pad(pcm, (0, padding)))
        self._state: StreamState | None = mimi.encoder_state()
        self._rows = Rows([0], mimi.device)
        self._offset = 0
        self._codes: list[npt.NDArray[np.int32]] = []

    @property
    def done(self) -> bool:
        return self._offset == len(self._pcm)

    @property
    def frames(self) -> list[npt.NDArray[np.int32]]:
        """The codes so far, one int32 [codebooks] a frame."""
        return self._codes

    @torch.inference_mode()
    def advance(self, frames: int) -> None:
        """Encode the next frames, at most `frames` of them."""
        chunk = self._pcm[self._offset : self._offset + frames * FRAME_SAMPLES]
        if self._state is None:
            return
        codes = self._mimi.encode(chunk[None].to(self._mimi.device), self._state, self._rows)[0]
        self._codes.extend(codes.cpu().numpy().astype(np.int32))
        self._offset += len(chunk)
        if self.done:
            self._state = None
