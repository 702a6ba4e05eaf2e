"""Records work on a GPU as CUDA graphs, beside other threads that use GPUs too."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

WARM_UPS = 3  # rounds before a capture: libraries choose their kernels and workspaces in them
HIGH_PRIORITY = -1  # of a stream; recorded kernels keep their stream's

T = TypeVar("T")

_one_at_a_time = threading.Lock()
"""Of this process: torch allows one capture at a time, and garbage collection is off for all of it meanwhile."""


class Recorder:
    """Records work as CUDA graphs that share memory, so they must be replayed one after the other, on one stream.

    Captures go to a stream of its own: torch's is one for the process, on whichever device came first. For the device
    thread only.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._place: tuple[torch.cuda.Stream, Any] | None = None  # with the pool of their memory

    def record(self, warm_up: Callable[[], object], work: Callable[[], T]) -> tuple[torch.cuda.CUDAGraph, T]:
        """Record work that has fixed shapes and does not wait for the device.

        Args:
            warm_up: runs the same work a few times before, without leaving a trace.
            work: is recorded, not run.

        Returns:
            the graph; what `work` returned: tensors into which each replay writes.

        Raises:
            Whatever goes wrong in it; the thread is on its own stream again then.
        """
        with _one_at_a_time, _without_garbage_collection(), self._own_stream() as (stream, pool):
            for _ in range(WARM_UPS):
                warm_up()
            graph = torch.cuda.CUDAGraph()
            # "thread_local": calls of other threads, a recogniser's for example, do not break it
            with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                results = work()
        return graph, results

    @contextlib.contextmanager
    def _own_stream(self) -> Iterator[tuple[torch.cuda.Stream, Any]]:
        """Be on the stream of the captures in the block, with the pool of their memory."""
        if self._place is None:
            self._place = torch.cuda.Stream(self._device, priority=HIGH_PRIORITY), torch.cuda.graph_pool_handle()
        current = torch.cuda.current_stream(self._device)
        stream, pool = self._place
        stream.wait_stream(current)
        torch.cuda.set_stream(stream)
        try:
            yield stream, pool
        except BaseException:
            self._place = None  # they may be in the middle of a capture for ever
            torch.cuda.set_stream(current)
            with contextlib.suppress(Exception):
                torch.cuda.synchronize(self._device)  # warm-up that still runs must not meet the next step
            raise
        torch.cuda.set_stream(current)  # nothing runs there: a capture begins on an idle device


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Collect before the block and not within: a CUDA graph that is destroyed in a capture breaks it."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
