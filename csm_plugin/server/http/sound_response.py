"""A response that is made while it is sent, and stops being made the moment its reader is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from loguru import logger
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from csm_plugin.errors import CSMError
from csm_plugin.server.shared.connections import abort
from csm_plugin.server.shared.errors import error_response


class SoundResponse(Response):
    """Sends what a generator gives. Its status waits for the first piece: an error before that is a proper response.

    After the first piece an error can only cut the response off, which readers notice: its end is missing.

    Args:
        pieces: the body; closed as soon as the reader is gone.
        stall_s: how long a reader may take nothing.
    """

    def __init__(self, pieces: AsyncGenerator[bytes, None], media_type: str, stall_s: float) -> None:
        super().__init__(media_type=media_type, headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._pieces = pieces
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        sending = asyncio.create_task(self._send_all(scope, receive, send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            try:
                first = await anext(self._pieces, b"")
            except CSMError as error:
                await error_response(error)(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send_piece(send, first)
            async for piece in self._pieces:
                await self._send_piece(send, piece)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except CSMError as error:
            logger.warning("a response is cut off ({})", type(error).__name__)
        except TimeoutError:
            logger.warning("a response is cut off: nobody read it for {:g} s", self._stall_s)
            abort(scope)
        finally:
            await self._pieces.aclose()

    async def _send_piece(self, send: Send, piece: bytes) -> None:
        async with asyncio.timeout(self._stall_s):
            await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _left(receive: Receive) -> None:
    """Return once the reader is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
