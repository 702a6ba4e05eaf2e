"""A load that ends before the interpreter does: torch aborts the process if one of its threads outlives Python."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from csm_plugin.model.weights import Stored, Tensors

WAIT_S = 30.0
"""How long the interpreter waits at its end: a load stops at the next tensor."""


class StoppableTensors:
    """Tensors that are read until the interpreter ends: who asks for one after that waits for ever.

    To raise would not do: while what was read is freed again, the thread is inside torch once more.

    Args:
        stop: set when no more may be read.
        stopped: is set when nothing is read any more.
    """

    def __init__(self, tensors: Tensors, stop: threading.Event, stopped: threading.Event) -> None:
        self._tensors = tensors
        self._stop = stop
        self._stopped = stopped

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    @property
    def names(self) -> list[str]:
        return self._tensors.names

    def stored(self, name: str) -> Stored:
        """Return how a tensor is stored, without reading it.

        Raises:
            CheckpointFormatError: it is missing.
        """
        return self._tensors.stored(name)

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor as stored.

        Raises:
            CheckpointFormatError: it is missing, or not of the `shape` that the configuration demands.
        """
        if self._stop.is_set():
            self._stopped.set()
            threading.Event().wait()
        return self._tensors.get(name, shape)


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
