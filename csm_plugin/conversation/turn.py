"""The other side's turn, as whoever reported it holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from typing import Any


class Turn:
    """The other side's turn on its way into the context: `await` it, or `wait()` in a thread.

    Args:
        done: has its result when the context has the turn.
    """

    def __init__(self, done: Future[Any]) -> None:
        self.done = done

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.shield(asyncio.wrap_future(self.done)).__await__()

    def wait(self, timeout_s: float | None = None) -> None:
        """Block until the context has it.

        Raises:
            TimeoutError: it took longer than `timeout_s`.
        """
        self.done.result(timeout_s)
