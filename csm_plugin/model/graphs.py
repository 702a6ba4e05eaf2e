"""The whole frame step as CUDA graphs: one launch a frame instead of some thousand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from loguru import logger

from csm_plugin.model.csm import CSM, Frames
from csm_plugin.model.devices import send
from csm_plugin.model.recorder import Recorder
from csm_plugin.model.rows import Rows

RANKS = (1, 64, 256)  # sizes of top-k, and all codes beyond


@dataclass(frozen=True, slots=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    frames: Frames  # where each replay leaves its results


class FrameGraphs:
    """Steps a model in fixed shapes, from graphs captured in `prepare` or at first use.

    A graph covers the rows from 0 to a power of two and one size of top-k. Rows in it that are not live stay as they
    are: what they would write is dropped, but for one position of the cache that is never read. Where a capture fails,
    and without a GPU, the same steps run as they are. Not thread-safe: the device thread owns it.

    Args:
        graphs: whether to capture at all.
    """

    def __init__(self, model: CSM, *, graphs: bool = True) -> None:
        self._model = model
        self._live = torch.zeros(model.rows, dtype=torch.bool, device=model.device)
        self._nobody = torch.zeros_like(self._live)
        self._rows: Rows | None = None
        self._fixed: dict[int, Rows] = {}
        self._captured: dict[tuple[int, int], _Captured | None] = {}  # None: it failed, and is not tried again
        self._recorder = Recorder(model.device) if graphs and model.device.type == "cuda" else None
        self.sizes = [*(1 << bits for bits in range((model.rows - 1).bit_length())), model.rows]
        """How many rows a step may cover: powers of two, and all."""

    @property
    def graphs(self) -> int:
        """How many are captured."""
        return sum(captured is not None for captured in self._captured.values())

    def prepare(self, top_ks: Iterable[int], sizes: Iterable[int] | None = None) -> None:
        """Capture the graphs of some sizes, of all by default, for these top_k.

        The largest comes first, because the others share its memory.
        """
        if self._recorder is None:
            return
        for size in sorted(self.sizes if sizes is None else sizes, reverse=True):
            for top_k in sorted({self._size_of_top_k(top_k) for top_k in top_ks}, reverse=True):
                self._graph(self._recorder, size, top_k)

    def step(self, rows: Sequence[int], top_k: int) -> Frames:
        """Make the next frame of some rows, without waiting for the device.

        Args:
            rows: the rows to advance.
            top_k: the largest top_k among them (1 where all are greedy).

        Returns:
            their frames, in the order of `rows`; on a GPU valid until the next step.
        """
        if self._rows is None or self._rows.numbers != list(rows):
            self._rows = None  # until the device knows of them too
            live = np.zeros(self._model.rows, dtype=np.bool_)
            live[list(rows)] = True
            self._live.copy_(send(live, self._model.device))
            self._rows = Rows(rows, self._model.device)
        size = next(size for size in self.sizes if size > max(self._rows.numbers))
        frames = self._run(size, self._size_of_top_k(top_k))
        take = self._rows.take
        tokens = None if frames.tokens is None else take(frames.tokens)
        return Frames(take(frames.codes), take(frames.pcm), take(frames.finite), tokens)

    def _run(self, size: int, top_k: int) -> Frames:
        captured = None if self._recorder is None else self._graph(self._recorder, size, top_k)
        if captured is None:
            return self._plain(size, top_k)
        captured.graph.replay()
        return captured.frames

    def _plain(self, size: int, top_k: int) -> Frames:
        """Step the live ones of the first rows."""
        return self._model.step(self._first(size), top_k, None)

    def _first(self, size: int) -> Rows:
        if size not in self._fixed:
            self._fixed[size] = Rows(range(size), self._model.device, self._live[:size])
        return self._fixed[size]

    def _graph(self, recorder: Recorder, size: int, top_k: int) -> _Captured | None:
        if (size, top_k) not in self._captured:
            self._captured[size, top_k] = self._capture(recorder, size, top_k)
        return self._captured[size, top_k]

    def _capture(self, recorder: Recorder, size: int, top_k: int) -> _Captured | None:
        """Record a step; in the warm-up no row is live, so it leaves no trace."""
        step, live = self._model.step, self._first(size)
        nobody = Rows(range(size), self._model.device, self._nobody[:size])
        try:
            return _Captured(*recorder.record(lambda: step(nobody, top_k, None), lambda: step(live, top_k, None)))
        except Exception as error:
            logger.warning(
                "a step could not be captured as a CUDA graph; steps of its size will run without one, which is slower",
                rows=size, top_k=top_k, error=f"{type(error).__name__}: {error}".splitlines()[0],
            )  # fmt: skip
            return None

    def _size_of_top_k(self, top_k: int) -> int:
        codes = self._model.config.codebook_size
        return min((size for size in (*RANKS, codes) if size >= top_k), default=codes)
