"""A web server that lets live calls come to their end before it ends itself."""

from __future__ import annotations

import asyncio
import signal
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from agents.telephony.calls import Calls
from agents.telephony.settings import DRAIN_S

HANG_UP_S = 6.0
MAX_MESSAGE_BYTES = 65_536
MAX_HEADER_BYTES = 16_384


class TelephoneServer(uvicorn.Server):
    """Takes no more calls after a first SIGTERM or Ctrl-C, and ends when the live ones have; a second ends it at once.

    Args:
        app: the telephone's application.
        calls: its calls.
        drain_s: how long live calls may go on; then they are hung up.
    """

    def __init__(self, app: FastAPI, calls: Calls, *, drain_s: float = DRAIN_S) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                port=0,
                access_log=False,  # a socket's address holds its token
                log_level="warning",
                ws_max_size=MAX_MESSAGE_BYTES,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                timeout_graceful_shutdown=round(HANG_UP_S),
            )
        )
        self._calls = calls
        self._drain_s = drain_s
        self._draining_since: float | None = None
        self.interrupted = False
        self._hanging_up: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; the second time, end."""
        self.interrupted |= sig == signal.SIGINT
        if self._calls.draining:
            self.should_exit = self.force_exit = True
            return
        self._calls.drain()
        self._draining_since = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        """See ten times a second whether draining is over."""
        if self._draining_since is not None:
            waited_s = time.monotonic() - self._draining_since
            if waited_s > self._drain_s and self._hanging_up is None:
                self._hanging_up = asyncio.create_task(self._calls.hang_up())
            if self._calls.idle or waited_s > self._drain_s + HANG_UP_S:
                self.should_exit = True
        return await super().on_tick(counter)
