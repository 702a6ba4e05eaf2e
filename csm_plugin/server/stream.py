"""`/v1/stream`: many conversations on one WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from csm_plugin.client import messages as m
from csm_plugin.client.wire import Kind, Packet
from csm_plugin.errors import CSMError, EngineClosedError
from csm_plugin.server.connections import abort
from csm_plugin.server.errors import Refusal, Unavailable, error_response
from csm_plugin.server.inside import codebooks
from csm_plugin.server.service import Service
from csm_plugin.server.talk import Talk
from csm_plugin.server.teller import fault

VIOLATION, AWAY, NORMAL = 1008, 1001, 1000
STATS_S = 1.0
MAX_NEWS = 64
"""Messages about the server itself that may wait for a socket; it misses further ones."""


class Rejected(Exception):
    """The client broke the protocol; the socket closes with the reason."""


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["stream"])

    @routes.get("/v1/stream/schema.json")
    async def schema() -> dict[str, Any]:
        """Give the JSON schema of the WebSocket's messages."""
        return m.schema()

    @routes.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        if len(service.listeners) >= service.settings.max_connections:
            most = service.settings.max_connections
            refusal = Unavailable(f"{most} sockets are open, which is the most", "too_many_sockets", 5.0)
            await socket.send_denial_response(error_response(refusal))
        else:
            await Line(service, socket).run()

    return routes


class Line:
    """One socket and its conversations. For one event loop."""

    def __init__(self, service: Service, socket: WebSocket) -> None:
        self._service = service
        self._socket = socket
        self._talks: dict[int, Talk] = {}
        self._news: asyncio.Queue[m.ServerMessage] = asyncio.Queue(MAX_NEWS)
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, message: m.ServerMessage) -> None:
        """Send a message when there is time; never blocks."""
        with contextlib.suppress(asyncio.QueueFull):
            self._news.put_nowait(message)

    async def go_away(self) -> None:
        """Close the socket, because the server ends."""
        await self._close(AWAY, "the server ends")

    async def run(self) -> None:
        """Serve the socket until it closes."""
        service, socket = self._service, self._socket
        offered = socket.scope.get("subprotocols", ())
        await socket.accept(subprotocol=m.SUBPROTOCOL if m.SUBPROTOCOL in offered else None)
        service.listeners.add(self)
        service.metrics.sockets.inc()
        try:
            await self._say_hello()
            self._spawn(self._tell_news())
            self._spawn(self._tell_stats())
            await self._read()
        except Rejected as rejection:
            await self._close(VIOLATION, str(rejection))
        except (WebSocketDisconnect, OSError):
            pass
        finally:
            service.listeners.discard(self)
            service.metrics.sockets.dec()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, *(talk.close() for talk in self._talks.values()), return_exceptions=True)

    async def _say_hello(self) -> None:
        try:
            engine = self._service.engine
        except CSMError as error:
            await self._send(m.Failed(error=fault(error)).model_dump_json())
            raise WebSocketDisconnect(AWAY) from None
        await self._send(
            m.Hello(
                model=engine.model_name,
                voices=self._service.voices,
                device=engine.device,
                dtype=engine.dtype,
                codebooks=codebooks(engine),
                max_conversations=engine.max_conversations,
                max_message_bytes=self._service.settings.max_message_bytes,
            ).model_dump_json()
        )

    async def _read(self) -> None:
        """Take messages until the client leaves, says nothing for too long, or breaks the protocol."""
        settings = self._service.settings
        patience_s, told = settings.start_s, "no message came in time"
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    received = await self._socket.receive()
            except TimeoutError:
                if any(talk.speaking for talk in self._talks.values()):
                    continue
                await self._close(VIOLATION if told else NORMAL, told or "nothing was said for a long time")
                return
            if received["type"] == "websocket.disconnect":
                return
            patience_s, told = settings.idle_s, ""
            if received.get("text") is not None:
                await self._take(received["text"])
            else:
                await self._take_packet(received.get("bytes") or b"")

    async def _take(self, text: str) -> None:
        try:
            message = m.CLIENT.validate_json(text)
        except ValidationError as error:
            raise Rejected(_told(error)) from None
        if isinstance(message, m.Ping):
            await self._send(m.Pong().model_dump_json())
            return
        try:
            if isinstance(message, m.Open):
                await self._open(message)
            elif isinstance(message, m.Close):
                await self._drop(message.conversation, None)
            elif (talk := self._talks.get(message.conversation)) is not None:
                talk.take(message)
            elif not isinstance(message, m.Taken | m.Cancel | m.Interrupt):  # these may cross a `closed`
                raise Refusal("there is no such conversation; open it first", status=404, code="no_conversation")
        except CSMError as error:
            self._service.keeper.note(error)
            number = getattr(message, "number", None)
            await self._send(
                m.Failed(conversation=message.conversation, number=number, error=fault(error)).model_dump_json()
            )

    async def _take_packet(self, message: bytes) -> None:
        try:
            packet = Packet.unpack(message)
        except ValueError as error:
            raise Rejected(str(error)) from None
        talk = self._talks.get(packet.conversation)
        if talk is None or packet.kind is Kind.LEAD:
            return
        try:
            talk.upload(packet)
        except CSMError as error:
            failed = m.Failed(conversation=packet.conversation, number=packet.number, error=fault(error))
            await self._send(failed.model_dump_json())

    async def _open(self, order: m.Open) -> None:
        if order.conversation in self._talks:
            raise Rejected("that conversation is open already")

        def died(error: EngineClosedError) -> None:
            self._spawn(self._drop(order.conversation, error))

        try:
            self._talks[order.conversation] = Talk(self._service, order, self._send, died)
        except CSMError as error:
            self._service.keeper.note(error)
            await self._send(m.Closed(conversation=order.conversation, error=fault(error)).model_dump_json())
            return
        await self._send(m.Opened(conversation=order.conversation).model_dump_json())

    async def _drop(self, conversation: int, error: CSMError | None) -> None:
        talk = self._talks.pop(conversation, None)
        if talk is not None:
            await talk.close()
            told = None if error is None else fault(error)
            await self._send(m.Closed(conversation=conversation, error=told).model_dump_json())

    async def _tell_news(self) -> None:
        while True:
            await self._send((await self._news.get()).model_dump_json())

    async def _tell_stats(self) -> None:
        last = None
        while True:
            if self._service.keeper.is_ready:
                stats = self._service.keeper.engine.stats()
                told = m.Stats(
                    live_rows=stats.live_rows, free_rows=stats.free_rows, queued=stats.queued,
                    frames_stepped=stats.frames_stepped, conversations=stats.conversations,
                )  # fmt: skip
                if told != last:
                    await self._send(told.model_dump_json())
                    last = told
            await asyncio.sleep(STATS_S)

    async def _send(self, message: str | bytes) -> None:
        """Send a message; a socket that takes nothing for as long as a dead peer is waited for is dead."""
        try:
            async with asyncio.timeout(2 * self._service.settings.ping_s):
                if isinstance(message, str):
                    await self._socket.send_text(message)
                else:
                    await self._socket.send_bytes(message)
        except TimeoutError:
            abort(self._socket.scope)
            raise WebSocketDisconnect(VIOLATION) from None

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(WebSocketDisconnect, OSError, RuntimeError):
            await self._socket.close(code, reason)

    def _spawn(self, work: Awaitable[None]) -> None:
        async def quietly() -> None:
            with contextlib.suppress(WebSocketDisconnect, OSError, RuntimeError):
                await work

        task = asyncio.create_task(quietly(), name="csm-line")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _told(error: ValidationError) -> str:
    """Say what is wrong with a message, without what is in it; at most 120 bytes, as a close frame holds."""
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    place = ".".join(str(part)[:24] for part in first["loc"])
    return f"{place}: {first['msg']}".encode("ascii", "replace")[:120].decode()
