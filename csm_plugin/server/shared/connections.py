"""Connections with limits: small heads in little time, and little sound on its way to a slow reader."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from http import HTTPStatus
from typing import Any

import h11
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from csm_plugin.server.shared.settings import ServerSettings

WRITE_BYTES = 16_384
"""What may wait to be written to a connection; a third of a second of PCM."""

SOCKET_BYTES = 32_768
"""The same in the system's own buffer, which doubles it."""

ABORT = "abort"
"""Under this name a request's state has a function that ends its connection, whatever waits to be written to it."""

CROWDED = "crowded"
"""Under this name it has a function that tells whether there are more connections than the settings allow."""

TAKE_LARGE = "take_large"
"""Under this name a socket's state has a function that lets its messages be larger."""


def protocol(settings: ServerSettings) -> type[H11Protocol]:
    """Make the class of connections, as uvicorn takes it."""

    class Connection(H11Protocol):
        """A connection that is closed if the head of a request takes too long."""

        _patience: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=WRITE_BYTES)
            self.app_state = {**self.app_state, ABORT: transport.abort, CROWDED: self._is_crowded}
            self._patience = self.loop.call_later(settings.start_s, transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._be_patient()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._be_patient()
            elif self._patience is None:
                self._patience = self.loop.call_later(settings.start_s, self.transport.close)

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            self._be_patient()
            super().handle_websocket_upgrade(event)

        def send_400_response(self, msg: str) -> None:
            """Answer a request that is none, in the shape that all errors have."""
            error = sys.exc_info()[1]
            status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
            self.transport.write(_response(HTTPStatus(status)))
            self.transport.close()

        def _is_crowded(self) -> bool:
            return len(self.connections) > settings.max_connections

        def _be_patient(self) -> None:
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None

    return Connection


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket whose messages are as long as the settings say, until its route lets them be longer."""

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **others)
        self.app_state = {**self.app_state, TAKE_LARGE: self._take_large}

    def _take_large(self, most_bytes: int) -> None:
        self.conn.max_message_size = most_bytes


def take_large(scope: Scope, most_bytes: int) -> None:
    """Let the messages of a socket that comes in have up to so many bytes."""
    scope.get("state", {}).get(TAKE_LARGE, lambda _: None)(most_bytes)


def is_crowded(scope: Scope) -> bool:
    """Whether a request came by one connection too many."""
    return bool(scope.get("state", {}).get(CROWDED, lambda: False)())


def abort(scope: Scope) -> None:
    """End a request's connection at once."""
    scope.get("state", {}).get(ABORT, lambda: None)()


def listen(settings: ServerSettings) -> socket.socket:
    """Open the socket to listen on; its connections have small buffers.

    Raises:
        OSError: the address or port cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        listening.bind((settings.host.strip("[]"), settings.port))
        listening.listen()  # who connects from now on waits, and is not refused
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _response(status: HTTPStatus) -> bytes:
    told = "the head of the request is too large" if status == 431 else "this is no valid HTTP request"
    error: dict[str, Any] = {"message": told, "type": "invalid_request_error", "param": None, "code": "bad_request"}
    body = json.dumps({"error": error}).encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
