"""Gives steps to the device and fetches their results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from csm_plugin.model.csm import CSM, Frames
from csm_plugin.model.graphs import FrameGraphs
from csm_plugin.model.rows import Rows


@dataclass(frozen=True, slots=True)
class StepResult:
    """One frame of each row of a step, on the host, in the order in which the rows were given."""

    codes: npt.NDArray[np.int32]  # [B, codebooks]
    pcm: npt.NDArray[np.float32]  # [B, 1920]
    finite: npt.NDArray[np.bool_]  # [B]
    tokens: npt.NDArray[np.float32] | None = None  # [B], which token of its text each row speaks; NaN if unknown


class PendingStep:
    """A step whose results are on their way to the host."""

    def __init__(self, frames: Frames) -> None:
        self._tensors = [_to_host(tensor) for tensor in (frames.codes, frames.pcm, frames.finite)]
        self._tokens = None if frames.tokens is None else _to_host(frames.tokens)
        self._arrived = None
        if frames.codes.is_cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def wait(self) -> StepResult:
        """Return the results; waits for the device."""
        if self._arrived is not None:
            self._arrived.synchronize()
        codes, pcm, finite = (t.numpy() for t in self._tensors)
        tokens = None if self._tokens is None else self._tokens.numpy()
        return StepResult(codes.astype(np.int32), np.clip(pcm, -1, 1), finite, tokens)


class Stepper:
    """Steps a model's rows.

    Args:
        fixed_shapes: as a GPU wants it: all steps have the same shapes, so that they run as CUDA graphs, and one step
            is launched ahead of reading the last one, so that the device never waits for the host. Otherwise, as is
            best on a CPU, attention reads exactly what is valid and each result is read at once.
        graphs: whether steps of fixed shapes run as CUDA graphs.
    """

    def __init__(self, model: CSM, *, fixed_shapes: bool, graphs: bool = True) -> None:
        self._model = model
        self._graphs = FrameGraphs(model, graphs=graphs) if fixed_shapes else None
        self._rows: Rows | None = None
        self.lag = 1 if fixed_shapes else 0
        """How many steps may be under way while the next one is launched."""

    @property
    def graphs(self) -> int:
        """How many CUDA graphs there are."""
        return 0 if self._graphs is None else self._graphs.graphs

    def prepare(self, top_ks: list[int]) -> None:
        """Do before the first step what it would wait for: capture the graphs of these top_k (1 is greedy)."""
        if self._graphs is not None:
            self._graphs.prepare(top_ks)

    def launch(self, rows: list[int], lengths: list[int], top_k: int) -> PendingStep:
        """Launch the next frame of `rows`, whose caches hold `lengths` positions."""
        if self._graphs is not None:
            return PendingStep(self._graphs.step(rows, top_k))
        if self._rows is None or self._rows.numbers != rows:
            self._rows = Rows(rows, self._model.device)
        return PendingStep(self._model.step(self._rows, top_k, lengths))


def _to_host(tensor: Tensor) -> Tensor:
    if not tensor.is_cuda:
        return tensor.clone()
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)
