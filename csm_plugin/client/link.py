"""The socket to a server, in a thread of its own: connected, kept, and made again to this server or another."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from loguru import logger
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from csm_plugin.client import messages as m
from csm_plugin.client.faults import error_of, is_busy, passes
from csm_plugin.client.jobs import Spoken
from csm_plugin.client.record import Record
from csm_plugin.client.wire import Packet
from csm_plugin.errors import CSMError, EngineClosedError, EngineUnreachableError, SettingsError

CONNECT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 5.0
PING_S = 10.0
"""Pause between pings, and time for their answer."""

TALK_S = 30.0
"""A socket with open conversations says something at least so often."""

LOOK_S = 0.1
REFUSED = frozenset({401, 403})
Outgoing = m.ClientMessage | Packet


class Link:
    """Connects records with a server. `post`, `add` and the others are safe from any thread and never block.

    Args:
        urls: of `/v1/stream`; the next one is tried where one fails.
        api_key: sent in a header.
        patience_s: how long an order may wait for a server.
    """

    def __init__(self, urls: Sequence[str], api_key: str | None, patience_s: float) -> None:
        self._urls = itertools.cycle(urls)
        self._tries = len(urls)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._patience_s = patience_s
        self._records: dict[int, Record] = {}  # by their numbers on the socket
        self._homeless: set[Record] = set()  # those that no server has
        self._wires = itertools.count(1)
        self._outbox: deque[str | bytes] = deque()
        self._departed: queue.SimpleQueue[tuple[Record, Spoken | None]] = queue.SimpleQueue()
        self._closing = False
        self._draining = False
        self._socket: ClientConnection | None = None
        self.connected = False
        self.hello: Future[m.Hello] = Future()
        """What the first server said of itself."""
        self.voices: list[str] = []
        self.stats: m.Stats | None = None
        self.reconnects = -1
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="csm-link", daemon=True)
        self._thread.start()

    def add(self, record: Record) -> None:
        """Find a server for a record."""

        def settle() -> None:
            self._homeless.add(record)
            self._house(record)

        self._call(settle)

    def post(self, message: Outgoing) -> None:
        """Send something to the server; nothing if there is none: what matters is in the records."""
        self._outbox.append(message.pack() if isinstance(message, Packet) else message.model_dump_json())
        self._ring()

    def leave(self, record: Record, spoken: Spoken | None) -> None:
        """Note that nobody reads an utterance any more, or holds a conversation. Takes no lock."""
        self._departed.put((record, spoken))
        self._ring()

    def close(self) -> None:
        """Disconnect, and end the thread."""
        self._closing = True
        self._ring()
        if threading.current_thread() is not self._thread:
            self._thread.join(CONNECT_S)

    @property
    def _all(self) -> list[Record]:
        return [*self._records.values(), *self._homeless]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            self._loop.close()

    async def _live(self) -> None:
        looking = asyncio.create_task(self._look())
        try:
            await self._stay_connected()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            for record in self._all:
                record.fail(EngineClosedError("the engine was closed"))
                record.close()

    async def _stay_connected(self) -> None:
        pause_s, failures = 0.0, 0
        while not self._closing:
            await self._rest(pause_s)
            try:
                await self._connect(next(self._urls))
                pause_s, failures = FIRST_PAUSE_S, 0
                while not self._all and not self._closing:  # it is connected again when it is needed
                    await self._rest(TALK_S)
            except InvalidStatus as error:
                failures += 1
                if error.response.status_code in REFUSED:
                    self._give_up(SettingsError("the server refuses the api_key; pass a valid one"))
                    if failures >= self._tries:
                        return
            except (OSError, WebSocketException, ValueError, LookupError, CSMError) as error:
                failures += 1
                logger.debug("no connection to a server", error=type(error).__name__, failures=failures)
            if failures:
                pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**failures) * random.uniform(0.5, 1.0)

    async def _connect(self, url: str) -> None:
        """Connect, and stay until the connection ends.

        Raises:
            OSError, WebSocketException: it could not be made, or broke.
            CSMError: the server cannot be used.
        """
        async with connect(
            url,
            additional_headers=self._headers,
            subprotocols=[m.SUBPROTOCOL],  # type: ignore[list-item]
            compression=None,
            open_timeout=CONNECT_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=1.0,
            max_size=2**20,
            proxy=None,
            logger=_quiet_logger(),
        ) as socket:
            self._greet(m.SERVER.validate_json(await asyncio.wait_for(socket.recv(), CONNECT_S)))
            self._socket, self._draining, self.connected = socket, False, True
            self.reconnects += 1
            self.post(m.Ping())
            for record in [*self._homeless]:
                self._house(record)
            writing = asyncio.create_task(self._write(socket))
            try:
                async for message in socket:
                    self._take(message)
            finally:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
                self._lose()

    def _greet(self, hello: m.ServerMessage) -> None:
        if isinstance(hello, m.Failed):
            raise error_of(hello.error)
        if not isinstance(hello, m.Hello) or hello.protocol != m.PROTOCOL:
            raise EngineUnreachableError(f"the server does not speak protocol {m.PROTOCOL} of /v1/stream")
        if not self.hello.done():
            self.hello.set_result(hello)
        first = self.hello.result()
        if (first.model, first.codebooks) != (hello.model, hello.codebooks):
            logger.error("a server speaks with another model and is not used", model=hello.model, wanted=first.model)
            raise EngineUnreachableError("the server speaks with another model than the first one did")
        self.voices = hello.voices

    def _house(self, record: Record) -> None:
        """Open a record that waits on the server, if there is one that goes on."""
        if record.closed:
            self._homeless.discard(record)
        elif record not in self._homeless:
            return
        elif self.connected and not self._draining:
            self._homeless.discard(record)
            wire = next(self._wires)
            self._records[wire] = record
            record.open(wire)
        else:
            record.lose()
            self._wake.set()

    def _lose(self) -> None:
        """The connection is gone: every record waits for another server."""
        self.connected = False
        self._socket = None
        for record in self._records.values():
            record.lose()
            self._homeless.add(record)
        self._records.clear()
        self._outbox.clear()

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            packet = Packet.unpack(message)
            record = self._records.get(packet.conversation)
            if record is not None:
                record.take_packet(packet)
            return
        told = m.SERVER.validate_json(message)
        match told:
            case m.Stats():
                self.stats = told
            case m.VoicesChanged():
                self.voices = told.voices
            case m.Draining():
                self._draining = True
            case m.Opened() if told.conversation in self._records:
                self._records[told.conversation].settle_in()
            case m.Closed():
                self._take_closed(told)
            case m.Began() | m.Words() | m.Ended() | m.Heard() | m.Context() | m.Failed():
                number = told.conversation
                record = None if number is None else self._records.get(number)
                if record is not None and number is not None and record.take(told):
                    self._rehouse(number)

    def _take_closed(self, closed: m.Closed) -> None:
        record = self._records.get(closed.conversation)
        if record is None or closed.error is None:
            self._records.pop(closed.conversation, None)
        elif passes(closed.error) or is_busy(closed.error):
            self._rehouse(closed.conversation)
        else:
            del self._records[closed.conversation]
            record.fail(error_of(closed.error))
            record.close()

    def _rehouse(self, wire: int) -> None:
        """Find another place for a record that its server cannot go on with."""
        record = self._records.pop(wire)
        record.lose()
        self._homeless.add(record)
        self.post(m.Close(conversation=wire))
        self._loop.call_later(FIRST_PAUSE_S * 4, self._house, record)

    async def _write(self, socket: ClientConnection) -> None:
        last = time.monotonic()
        while not self._closing:
            self._wake.clear()
            self._see_off()
            while self._outbox:
                await socket.send(self._outbox.popleft())
                last = time.monotonic()
            if not self._wake.is_set():
                await self._rest(TALK_S)
            if self._all and time.monotonic() - last >= TALK_S:
                self.post(m.Ping())
        await socket.close()

    async def _look(self) -> None:
        """See off who left, give up on orders that waited for too long, and leave a server that is about to end."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._see_off()
            before = time.monotonic() - self._patience_s
            for record in self._homeless:
                if record.lost_s is not None and record.lost_s < before:
                    record.fail(EngineUnreachableError(self._unreachable), before)
            if self._draining and self._socket is not None and not any(r.is_waiting for r in self._records.values()):
                self._draining = False
                await self._socket.close()

    @property
    def _unreachable(self) -> str:
        return f"no server could be reached for {self._patience_s:g} s; is it running, and is the address right?"

    def _see_off(self) -> None:
        """Cancel utterances that nobody reads, and close conversations that nobody holds."""
        while not self._departed.empty():
            record, spoken = self._departed.get_nowait()
            if spoken is not None:
                record.cancel(spoken)
                continue
            record.close()
            self._homeless.discard(record)
            for wire in [wire for wire, known in self._records.items() if known is record]:
                del self._records[wire]

    def _give_up(self, error: CSMError) -> None:
        if not self.hello.done():
            self.hello.set_exception(error)
        for record in self._all:
            record.fail(error)

    async def _rest(self, seconds: float) -> None:
        """Wait, or until something happens."""
        if seconds and not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)

    def _call(self, work: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: so is the engine
            self._loop.call_soon_threadsafe(work)

    def _ring(self) -> None:
        self._call(self._wake.set)


def _quiet_logger() -> logging.Logger:
    """A logger that does not write down what passes through the socket."""
    quiet = logging.getLogger("csm_plugin.socket")
    quiet.setLevel(logging.WARNING)
    return quiet
