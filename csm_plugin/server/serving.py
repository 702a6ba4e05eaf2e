"""Running the app: one process, one event loop, an orderly end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from loguru import logger

from csm_plugin.errors import SettingsError
from csm_plugin.interruption import INTERRUPTED, tell_of_interruption
from csm_plugin.server.app import create_app
from csm_plugin.server.shared.connections import Socket, listen, protocol
from csm_plugin.server.shared.service import Judge, Service
from csm_plugin.server.shared.settings import ServerSettings

if TYPE_CHECKING:
    from csm_plugin.engine import Engine

OK, FAILED = 0, 1
GRACE_S = 2
"""For connections that are open when everything was said."""

CHATTY = ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets", "python_multipart", "asyncio")
"""Loggers that would write down what passes through them."""


class Serving(uvicorn.Server):
    """Serves until a signal comes: the first drains, the second ends at once."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None
        self._signals = 0
        self.failed = False
        self.interrupted = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Remember the loop, and start."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: drain, or end at once if that is under way."""
        self._signals += 1
        self.interrupted |= sig == signal.SIGINT
        if self._signals > 1 or self._loop is None:
            if self.interrupted:
                tell_of_interruption()
            sys.stderr.flush()
            os._exit(INTERRUPTED if self.interrupted else FAILED)  # whatever still runs is not waited for
        self._service.draining = True
        self._loop.call_soon_threadsafe(self.drain)

    def drain(self) -> None:
        """Finish what is being said, then exit. For the server's event loop."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())

    def fail(self) -> None:
        """Exit with an error. For the server's event loop."""
        self.failed = True
        self.drain()

    async def _drain(self) -> None:
        await self._service.drain()
        self.should_exit = True


def make_server(
    settings: ServerSettings, load: Callable[[], Engine] | None = None, judge: Judge | None = None
) -> tuple[Serving, FastAPI]:
    """Make a server and its app; `Serving.run` or `serve` runs it.

    Args:
        load: loads the engine, in a thread; by default as the settings say.
        judge: of uploaded voices, as `create_app` takes it.
    """
    servers: list[Serving] = []
    app = create_app(settings, load, failed=lambda: servers[0].fail(), judge=judge)
    config = uvicorn.Config(
        app,
        http=protocol(settings),
        ws=Socket,
        ws_max_size=settings.max_message_bytes,
        ws_ping_interval=settings.ping_s,
        ws_ping_timeout=settings.ping_s,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=settings.max_header_bytes,
        timeout_graceful_shutdown=GRACE_S,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="on",
    )
    servers.append(Serving(config, app.state.service))
    return servers[0], app


def serve(settings: ServerSettings, load: Callable[[], Engine] | None = None, judge: Judge | None = None) -> int:
    """Serve until the process is told to end; return its exit code.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    quiet_loggers()
    server, app = make_server(settings, load, judge)
    try:
        listening = listen(settings)
    except OSError as error:
        raise SettingsError(f"cannot listen on {settings.host}:{settings.port} ({error}); choose another") from None
    host, port = listening.getsockname()[:2]
    logger.info("listening on http://{}:{}", f"[{host}]" if ":" in host else host, port, keys=len(settings.keys))
    server.run([listening])
    if server.failed or app.state.service.keeper.error is not None:
        return FAILED
    return INTERRUPTED if server.interrupted else OK


def quiet_loggers() -> None:
    """Let other libraries warn, and not write down what passes through them."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
