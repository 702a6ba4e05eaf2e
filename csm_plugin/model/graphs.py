"""The whole frame step as CUDA graphs: one launch a frame instead of some thousand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from csm_plugin.model.csm import CSM, Frames
from csm_plugin.model.rows import Rows

WARM_UPS = 3  # steps before a capture: libraries choose their kernels and workspaces in them
RANKS = (1, 64, 256)  # sizes of top-k, and all codes beyond


@dataclass(frozen=True, slots=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    frames: Frames  # where each replay leaves its results


class FrameGraphs:
    """Steps a model in fixed shapes, from graphs captured at first use.

    A graph covers the rows from 0 to a power of two and one size of top-k. Rows in it that are not live stay as they
    are: what they would write is dropped, but for one position of the cache that is never read. Without a GPU the same
    steps run as they are. Not thread-safe: the device thread owns it.
    """

    def __init__(self, model: CSM) -> None:
        self._model = model
        self._live = torch.zeros(model.rows, dtype=torch.bool, device=model.device)
        self._rows: Rows | None = None
        self._captured: dict[tuple[int, int], _Captured] = {}
        self._pool = torch.cuda.graph_pool_handle() if model.device.type == "cuda" else None

    def step(self, rows: Sequence[int], ranks: int) -> Frames:
        """Make the next frame of some rows, without waiting for the device.

        Args:
            rows: the rows to advance.
            ranks: the largest top_k among them (1 where all are greedy).

        Returns:
            their frames, in the order of `rows`; on a GPU valid until the next step.
        """
        if self._rows is None or self._rows.numbers != list(rows):
            self._rows = Rows(rows, self._model.device)
            self._live.zero_()
            self._live[self._rows.index] = True
        size = min(1 << max(self._rows.numbers).bit_length(), self._model.rows)
        frames = self._run(size, self._size_of_top_k(ranks))
        take = self._rows.take
        tokens = None if frames.tokens is None else take(frames.tokens)
        return Frames(take(frames.codes), take(frames.pcm), take(frames.finite), tokens)

    def _run(self, size: int, ranks: int) -> Frames:
        if self._pool is None:
            return self._plain(size, ranks)
        if (size, ranks) not in self._captured:
            self._captured[size, ranks] = self._capture(size, ranks)
        captured = self._captured[size, ranks]
        captured.graph.replay()
        return captured.frames

    def _plain(self, size: int, ranks: int) -> Frames:
        rows = Rows(range(size), self._model.device, self._live[:size])
        return self._model.step(rows, ranks, None)

    def _capture(self, size: int, ranks: int) -> _Captured:
        """Record a step; no row is live meanwhile, so the warm-up leaves no trace."""
        rows = Rows(range(size), self._model.device, self._live[:size])
        live = self._live.clone()
        self._live.zero_()
        side = torch.cuda.Stream(self._model.device)
        side.wait_stream(torch.cuda.current_stream(self._model.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._model.step(rows, ranks, None)
        torch.cuda.current_stream(self._model.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            frames = self._model.step(rows, ranks, None)
        self._live.copy_(live)
        return _Captured(graph, frames)

    def _size_of_top_k(self, ranks: int) -> int:
        codes = self._model.config.codebook_size
        return min((size for size in (*RANKS, codes) if size >= ranks), default=codes)
