"""Who finds no room is told so at once, before a body is read or anything else is done for them."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csm_plugin.errors import EngineBusyError
from csm_plugin.server.guards.gate import OPEN_PATHS
from csm_plugin.server.shared.connections import is_crowded
from csm_plugin.server.shared.errors import Unavailable, error_response
from csm_plugin.server.shared.service import Service

SPEAKING = frozenset(
    {"/v1/audio/speech", "/generate", "/generate/wav", "/stream/chunks", "/api/generate", "/api/stream"}
)
"""Paths on which something is asked to be said."""


class Admission:
    """ASGI middleware that answers 503 to one connection too many, and 429 while the engine has no row and no place.

    Those that it lets through may still be refused by the engine, which has the last word.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._waiting = 0
        """Requests that were read, and of whose answer nothing is sent yet; the engine may not know them yet."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and is_crowded(scope):
            crowd = Unavailable("there are too many connections; try again later", "too_many_connections", 1.0)
            await error_response(crowd)(scope, receive, send)
            return
        if scope["type"] != "http" or scope["path"] not in SPEAKING:
            await self._app(scope, receive, send)
            return
        settings = self._service.settings
        places = settings.max_conversations + settings.max_queue
        if self._waiting >= places or self._service.is_full:
            busy = EngineBusyError(
                f"all {settings.max_conversations} rows speak and {settings.max_queue} wait, which is the most; try "
                "again later", 1.0 + settings.max_queue / settings.max_conversations,
            )  # fmt: skip
            await error_response(busy)(scope, receive, send)
            return
        waits = False

        def wait(now: bool) -> None:
            nonlocal waits
            self._waiting += now - waits
            waits = now

        async def noted() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                wait(True)
            return message

        async def told(message: Message) -> None:
            wait(False)
            await send(message)

        try:
            await self._app(scope, noted, told)
        finally:
            wait(False)
