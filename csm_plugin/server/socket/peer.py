"""The far side of a WebSocket, as every route that has one meets it: let in, heard, told, and sent away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator

from fastapi import WebSocket, WebSocketDisconnect

from csm_plugin.server.shared.connections import abort
from csm_plugin.server.shared.errors import Unavailable, error_response
from csm_plugin.server.shared.service import Listener, Service

NORMAL, AWAY, VIOLATION, FAILED, LATER = 1000, 1001, 1008, 1011, 1013


class Peer:
    """Whoever is on a socket. For one event loop.

    Args:
        stall_s: how long it may take nothing of a message; then it is cut off.
    """

    def __init__(self, service: Service, socket: WebSocket, stall_s: float) -> None:
        self._service = service
        self._socket = socket
        self._stall_s = stall_s

    async def accept(self, subprotocol: str | None = None) -> bool:
        """Let it in, or tell it that there are too many; return whether it is in.

        Args:
            subprotocol: spoken if it offers that.
        """
        if len(self._service.listeners) >= (most := self._service.settings.max_connections):
            refusal = Unavailable(f"{most} sockets are open, which is the most", "too_many_sockets", 5.0)
            await self._socket.send_denial_response(error_response(refusal))
            return False
        offered = self._socket.scope.get("subprotocols", ())
        await self._socket.accept(subprotocol=subprotocol if subprotocol in offered else None)
        return True

    @contextlib.contextmanager
    def counted(self, listener: Listener) -> Iterator[None]:
        """Count it, and let it hear of the server, while the block runs."""
        self._service.listeners.add(listener)
        self._service.metrics.sockets.inc()
        try:
            yield
        finally:
            self._service.listeners.discard(listener)
            self._service.metrics.sockets.dec()

    async def messages(self, is_busy: Callable[[], bool]) -> AsyncGenerator[str | bytes, None]:
        """Give what it sends until it leaves, or sends nothing for too long and is sent away.

        Args:
            is_busy: whether something is done for it; then it may send nothing for as long as it likes.
        """
        settings = self._service.settings
        patience_s, code, told = settings.start_s, VIOLATION, "no message came in time"
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    received = await self._socket.receive()
            except TimeoutError:
                if is_busy():
                    continue
                await self.close(code, told)
                return
            if received["type"] == "websocket.disconnect":
                return
            patience_s, code, told = settings.idle_s, NORMAL, "nothing was said for a long time"
            text = received.get("text")
            yield text if text is not None else received.get("bytes") or b""

    async def send(self, message: str | bytes) -> None:
        """Send a message.

        Raises:
            WebSocketDisconnect: it is gone, was sent away, or took nothing for too long.
        """
        try:
            async with asyncio.timeout(self._stall_s):
                if isinstance(message, str):
                    await self._socket.send_text(message)
                else:
                    await self._socket.send_bytes(message)
        except TimeoutError:
            abort(self._socket.scope)
            raise WebSocketDisconnect(VIOLATION) from None
        except RuntimeError:  # so starlette says that it was closed from this side
            raise WebSocketDisconnect(AWAY) from None

    async def close(self, code: int, reason: str) -> None:
        """Send it away."""
        with contextlib.suppress(WebSocketDisconnect, OSError, RuntimeError):
            await self._socket.close(code, reason)
