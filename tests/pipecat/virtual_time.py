"""An event loop whose clock jumps to the next thing to do, so that minutes of conversation take moments to test."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from pipecat.clocks.base_clock import BaseClock

THREAD_POLL_S = 0.001


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Time passes only while everything waits; while a thread works for the loop, it stands still."""

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self.now_s = 0.0
        self.threads = 0

    def time(self) -> float:
        return self.now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_is_done)
        return future

    def _thread_is_done(self, _future: object) -> None:
        self.threads -= 1


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc]
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self._loop.threads:
            return super().select(THREAD_POLL_S if self._loop.threads else timeout)
        self._loop.now_s += timeout
        return []


class LoopClock(BaseClock):
    """Pipecat's clock, by the running loop's time."""

    def __init__(self) -> None:
        self._began_s = 0.0

    def start(self) -> None:
        self._began_s = asyncio.get_running_loop().time()

    def get_time(self) -> int:
        return round((asyncio.get_running_loop().time() - self._began_s) * 1e9)
