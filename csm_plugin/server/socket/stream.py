"""`/v1/stream`: many conversations on one WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from csm_plugin.errors import CSMError
from csm_plugin.protocol import messages as m
from csm_plugin.protocol.wire import Kind
from csm_plugin.server.shared.errors import Refusal
from csm_plugin.server.shared.service import Service
from csm_plugin.server.socket.peer import AWAY, LATER, VIOLATION, Peer
from csm_plugin.server.socket.reading import Rejected, Unusable, read_message, read_packet
from csm_plugin.server.socket.sender import fault
from csm_plugin.server.socket.talk import Talk

STATS_S = 1.0
MAX_NEWS = 64
"""Messages about the server itself that may wait for a socket; it misses further ones."""


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["stream"])

    @routes.get("/v1/stream/schema.json")
    async def schema() -> dict[str, Any]:
        """Give the JSON schema of the WebSocket's messages."""
        return m.schema()

    @routes.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        await Line(service, socket).run()

    return routes


class Line:
    """One socket and its conversations. For one event loop."""

    def __init__(self, service: Service, socket: WebSocket) -> None:
        self._service = service
        self._peer = Peer(service, socket, 2 * service.settings.ping_s)  # as long as a dead one is waited for
        self._talks: dict[int, Talk] = {}
        self._news: asyncio.Queue[m.ServerMessage] = asyncio.Queue(MAX_NEWS)
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, message: m.ServerMessage) -> None:
        """Send a message when there is time; never blocks."""
        with contextlib.suppress(asyncio.QueueFull):
            self._news.put_nowait(message)

    async def go_away(self) -> None:
        """Close the socket, because the server ends."""
        await self._peer.close(AWAY, "the server ends")

    async def run(self) -> None:
        """Serve the socket until it closes."""
        if not await self._peer.accept(m.SUBPROTOCOL):
            return
        try:
            with self._peer.counted(self):
                await self._say_hello()
                self._spawn(self._tell_news())
                self._spawn(self._tell_stats())
                await self._read()
        except Rejected as rejection:
            await self._peer.close(VIOLATION, str(rejection))
        except (WebSocketDisconnect, OSError):
            pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, *(talk.close() for talk in self._talks.values()), return_exceptions=True)

    async def _say_hello(self) -> None:
        try:
            engine = self._service.engine
        except CSMError as error:
            await self._peer.send(m.Failed(error=fault(error)).model_dump_json())
            await self._peer.close(LATER, "it cannot speak just now")
            raise WebSocketDisconnect(LATER) from None
        await self._peer.send(
            m.Hello(
                model=engine.model_name,
                voices=self._service.voices,
                device=engine.device,
                dtype=engine.dtype,
                codebooks=engine.codebooks,
                max_conversations=engine.max_conversations,
                max_message_bytes=self._service.settings.max_message_bytes,
            ).model_dump_json()
        )

    async def _read(self) -> None:
        """Take messages until the client leaves, says nothing for too long, or breaks the protocol."""
        async with contextlib.aclosing(self._peer.messages(self._is_speaking)) as messages:
            async for message in messages:
                await (self._take(message) if isinstance(message, str) else self._take_packet(message))

    def _is_speaking(self) -> bool:
        return any(talk.speaking for talk in self._talks.values())

    async def _take(self, text: str) -> None:
        message = read_message(text)
        if isinstance(message, Unusable):
            await self._refuse(message)
            return
        if isinstance(message, m.Ping):
            await self._peer.send(m.Pong().model_dump_json())
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
            await self._peer.send(
                m.Failed(conversation=message.conversation, number=number, error=fault(error)).model_dump_json()
            )

    async def _take_packet(self, message: bytes) -> None:
        packet = read_packet(message)
        if isinstance(packet, Unusable):
            await self._refuse(packet)
            return
        talk = self._talks.get(packet.conversation)
        if talk is None or packet.kind is Kind.LEAD:
            return
        try:
            talk.upload(packet)
        except CSMError as error:
            failed = m.Failed(conversation=packet.conversation, number=packet.number, error=fault(error))
            await self._peer.send(failed.model_dump_json())

    async def _refuse(self, message: Unusable) -> None:
        """Tell what is wrong with a message; a conversation that it would have opened is closed."""
        told, conversation = fault(message.error), message.conversation
        if message.opens and conversation is not None and conversation not in self._talks:
            await self._peer.send(m.Closed(conversation=conversation, error=told).model_dump_json())
            return
        failed = m.Failed(conversation=conversation, number=message.number, error=told)
        await self._peer.send(failed.model_dump_json())

    async def _open(self, order: m.Open) -> None:
        if order.conversation in self._talks:
            raise Refusal("that conversation is open already; close it first", status=409, code="exists")

        def died(error: CSMError) -> None:
            self._spawn(self._drop(order.conversation, error))

        try:
            self._talks[order.conversation] = Talk(self._service, order, self._peer.send, died)
        except CSMError as error:
            self._service.keeper.note(error)
            await self._peer.send(m.Closed(conversation=order.conversation, error=fault(error)).model_dump_json())
            return
        await self._peer.send(m.Opened(conversation=order.conversation).model_dump_json())

    async def _drop(self, conversation: int, error: CSMError | None) -> None:
        talk = self._talks.pop(conversation, None)
        if talk is not None:
            await talk.close()
            told = None if error is None else fault(error)
            await self._peer.send(m.Closed(conversation=conversation, error=told).model_dump_json())

    async def _tell_news(self) -> None:
        while True:
            await self._peer.send((await self._news.get()).model_dump_json())

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
                    await self._peer.send(told.model_dump_json())
                    last = told
            await asyncio.sleep(STATS_S)

    def _spawn(self, work: Awaitable[None]) -> None:
        async def quietly() -> None:
            with contextlib.suppress(WebSocketDisconnect, OSError, RuntimeError):
                await work

        task = asyncio.create_task(quietly(), name="csm-line")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
