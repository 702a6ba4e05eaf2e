"""How large and how slow a request may be, held while it is read."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csm_plugin.server.shared.errors import respond
from csm_plugin.server.shared.settings import ServerSettings

UPLOADS = frozenset({"/v1/voices", "/v1/audio/voices", "/v1/audio/voice_consents"})
FORM_BYTES = 65_536
"""What an upload may have besides its file."""


class BodyLimit:
    """ASGI middleware that answers 413 to larger bodies, announced or not, and 408 to those that do not go on."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count what is read of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._settings.max_body_bytes
        if scope["path"] in UPLOADS:
            most = self._settings.max_upload_bytes + FORM_BYTES
        told = f"the body has more than {most:,} bytes, which is the most"
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > most:
            refusal = respond(413, told, "invalid_request_error", "body_too_large", headers={"Connection": "close"})
            await refusal(scope, receive, send)
            return
        read, complete = 0, False

        async def counted() -> Message:
            nonlocal read, complete
            try:
                async with asyncio.timeout(None if complete else self._settings.stall_s):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "the body does not go on", {"Connection": "close"}) from None
            complete = not message.get("more_body", False)
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, told, {"Connection": "close"})
            return message

        await self._app(scope, counted, send)
