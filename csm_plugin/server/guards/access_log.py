"""One line and one count a request, with nothing in them that a client could have put there to be logged."""

from __future__ import annotations

import time

from loguru import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csm_plugin.server.guards.admission import SPEAKING
from csm_plugin.server.shared.metrics import Metrics

QUIET = frozenset({"/live", "/ready", "/metrics"})
METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS"})


class AccessLog:
    """ASGI middleware that counts requests and logs how each went."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note its end."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began, status, sent = time.perf_counter(), 0, 0

        async def noted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = 101
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", scope["path"] if scope["path"] in SPEAKING else "other")
            self._metrics.requests.labels(route, status or "gone").inc()
            if route not in QUIET:
                took = round(time.perf_counter() - began, 3)
                method = scope.get("method", "WS")
                told = method if method in METHODS or scope["type"] == "websocket" else "other"
                logger.info("{} {}", told, route, status=status, seconds=took, bytes=sent)
