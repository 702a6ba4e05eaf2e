"""A load that ends before the interpreter does: torch aborts the process if one of its threads outlives Python."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from csm_plugin.model.weights import Tensors, TensorsOf

WAIT_S = 30.0
"""How long the interpreter waits at its end: a load stops at the next tensor."""


class StoppableTensors(TensorsOf):
    """Tensors that are read until the interpreter ends: who asks for one after that waits for ever.

    To raise would not do: while what was read is freed again, the thread is inside torch once more.

    Args:
        stop: set when no more may be read.
        stopped: is set when nothing is read any more.
    """

    def __init__(self, tensors: Tensors, stop: threading.Event, stopped: threading.Event) -> None:
        super().__init__(tensors)
        self._stop = stop
        self._stopped = stopped

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor as stored.

        Raises:
            CheckpointFormatError: it is missing, or not of the `shape` that the configuration demands.
        """
        if self._stop.is_set():
            self._stopped.set()
            threading.Event().wait()
        return super().get(name, shape)


@contextmanager
def stopped_at_exit(tensors: Tensors) -> Iterator[Tensors]:
    """Have the interpreter stop the reading of tensors, should it end before the block does.

    That can be only if the block runs in a daemon thread: the interpreter waits for the others.
    """
    stop, stopped = threading.Event(), threading.Event()

    def end() -> None:
        stop.set()
        stopped.wait(WAIT_S)

    atexit.register(end)
    try:
        yield StoppableTensors(tensors, stop, stopped)
    finally:
        stopped.set()
        atexit.unregister(end)
