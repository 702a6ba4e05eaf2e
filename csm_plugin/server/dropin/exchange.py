"""A WebSocket on which a client asks in JSON, and each message is answered before the next."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

from fastapi import WebSocket, WebSocketDisconnect
from loguru import logger
from pydantic import BaseModel, ValidationError

from csm_plugin.errors import CSMError
from csm_plugin.protocol.messages import ServerMessage
from csm_plugin.server.shared.connections import take_large
from csm_plugin.server.shared.errors import Refusal, code_of, name_of, retry_after_of
from csm_plugin.server.shared.service import Service
from csm_plugin.server.socket.peer import AWAY, FAILED, NORMAL, VIOLATION, Peer

MAX_WAITING = 64
"""Messages that may wait for their turn."""

Fields = dict[str, Any]
Answer = Callable[[Fields], AsyncGenerator[bytes | Fields, None]]
"""Answers a message: gives what is sent, bytes or what becomes JSON."""

Form = TypeVar("Form", bound=BaseModel)


class Finished(Exception):
    """The exchange is over; the socket closes."""


class Exchange:
    """One socket. For one event loop.

    Leaving stops what is being said. An error is told as `{"error", "code"}`, and the exchange goes on.

    Args:
        answer: answers each message.
        most_bytes: the largest message, and all that may wait for their turn; None is what the settings say.
    """

    def __init__(self, service: Service, socket: WebSocket, answer: Answer, most_bytes: int | None = None) -> None:
        self._service = service
        self._peer = Peer(service, socket, service.settings.stall_s)
        self._socket = socket
        self._answer = answer
        self._most_bytes = service.settings.max_message_bytes if most_bytes is None else most_bytes
        self._waiting: deque[str] = deque()
        self._arrived = asyncio.Event()
        self._busy = False

    def tell(self, message: ServerMessage) -> None:
        """Send nothing: these clients know no news of the server."""

    async def go_away(self) -> None:
        """Close the socket, because the server ends."""
        await self._peer.close(AWAY, "the server ends")

    async def run(self) -> None:
        """Serve the socket until it closes."""
        take_large(self._socket.scope, self._most_bytes)
        if not await self._peer.accept():
            return
        answering = asyncio.create_task(self._answer_all(), name="csm-exchange")
        reading = asyncio.create_task(self._read(), name="csm-exchange-reader")
        try:
            with self._peer.counted(self):
                await asyncio.wait((answering, reading), return_when=asyncio.FIRST_COMPLETED)
        finally:
            answering.cancel()
            reading.cancel()
            for ended in await asyncio.gather(answering, reading, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect | OSError):
                    logger.error("a socket's exchange failed ({})", type(ended).__name__)
                    await self._peer.close(FAILED, "the server failed")

    async def _read(self) -> None:
        """Take messages until the client leaves, says nothing for too long, or sends too many."""
        async with contextlib.aclosing(self._peer.messages(lambda: self._busy or bool(self._waiting))) as messages:
            async for message in messages:
                self._waiting.append(message if isinstance(message, str) else "")
                if len(self._waiting) > MAX_WAITING or sum(map(len, self._waiting)) > self._most_bytes:
                    told = f"at most {MAX_WAITING} messages of {self._most_bytes:,} bytes may wait"
                    await self._peer.close(VIOLATION, told)
                    return
                self._arrived.set()

    async def _answer_all(self) -> None:
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            self._busy = True
            try:
                async with contextlib.aclosing(self._answer(_fields_of(self._waiting.popleft()))) as sent:
                    async for part in sent:
                        await self._send(part)
            except CSMError as error:
                self._service.keeper.note(error)
                await self._send(told_of(error))
            except Finished:
                await self._peer.close(NORMAL, "")
                return
            finally:
                self._busy = False

    async def _send(self, part: bytes | Fields) -> None:
        await self._peer.send(part if isinstance(part, bytes) else json.dumps(part))


def told_of(error: CSMError) -> Fields:
    """Return an error as these clients read it."""
    told: Fields = {"error": str(error), "code": code_of(error)}
    if (seconds := retry_after_of(error)) is not None:
        told["retry_after_s"] = seconds
    return told


def read_form(form: type[Form], fields: Fields) -> Form:
    """Read a message.

    Raises:
        Refusal: it is none of that form; what is in it is not told.
    """
    try:
        return form.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        name = name_of(first["loc"])
        raise Refusal(f"{name}: {first['msg']}", status=422, code=first["type"], param=name) from None


def _fields_of(message: str) -> Fields:
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise Refusal("a message is a JSON object in text", status=400, code="no_json")
    return fields
