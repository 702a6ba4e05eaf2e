"""Brings conversations and servers together: each is opened on the server that there is, and again on the next one."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from loguru import logger

from csm_plugin.client.connection import Connection
from csm_plugin.client.orders import SpeakOrder
from csm_plugin.client.record import Record
from csm_plugin.errors import CSMError, EngineClosedError, EngineUnreachableError
from csm_plugin.protocol import messages as m
from csm_plugin.protocol.faults import error_of, is_busy, passes
from csm_plugin.protocol.wire import Packet

RETRY_S = 0.2
"""After so long a conversation is opened again where its server could not go on with it."""


class Link:
    """The conversations of one remote engine. What has no underscore is safe from any thread and never blocks.

    Args:
        urls: of `/v1/stream`; the next one is tried where one fails.
        api_key: sent in a header.
        patience_s: how long an order may wait for a server.
    """

    def __init__(self, urls: Sequence[str], api_key: str | None, patience_s: float) -> None:
        self._patience_s = patience_s
        self._placed: dict[int, Record] = {}  # by their numbers on the socket
        self._unplaced: set[Record] = set()  # those that no server has
        self._wires = itertools.count(1)
        self._departed: queue.SimpleQueue[tuple[Record, SpeakOrder | None]] = queue.SimpleQueue()
        self._draining = False
        self.hello: Future[m.Hello] = Future()
        """What the first server said of itself."""
        self.voices: list[str] = []
        self.stats: m.Stats | None = None
        self.connection = Connection(urls, api_key, self)
        self.connection.start()

    def add(self, record: Record) -> None:
        """Find a server for a record."""

        def settle() -> None:
            self._unplaced.add(record)
            self._house(record)

        self.connection.call(settle)

    def want(self) -> None:
        """Look for a server now, if there is none."""
        if not self.connection.is_open:
            self.connection.ring()

    def post(self, message: m.ClientMessage | Packet) -> None:
        """Send something to the server; nothing if there is none: what matters is in the records."""
        self.connection.post(message)

    def depart(self, record: Record, spoken: SpeakOrder | None) -> None:
        """Note that nobody reads an utterance any more, or holds a conversation. Takes no lock."""
        self._departed.put((record, spoken))
        self.connection.ring()

    def close(self) -> None:
        """Disconnect; what is under way ends. Waits for the connection's thread."""

        def end() -> None:
            for record in self._records:
                record.fail(EngineClosedError("the engine was closed"))
                record.close()

        self.connection.call(end)
        self.connection.close()

    @property
    def is_needed(self) -> bool:
        """See `Owner`."""
        return bool(self._placed or self._unplaced)

    def greet(self, hello: m.Hello) -> None:
        """See `Owner`. A server must speak with the same model as the first one: codes are of one model.

        Raises:
            EngineUnreachableError: it speaks with another one.
        """
        if not self.hello.done():
            self.hello.set_result(hello)
        first = self.hello.result()
        if (first.model, first.codebooks) != (hello.model, hello.codebooks):
            logger.error("a server speaks with another model and is not used", model=hello.model, wanted=first.model)
            raise EngineUnreachableError("the server speaks with another model than the first one did")
        self.voices = hello.voices

    def begin(self) -> None:
        """See `Owner`."""
        self._draining = False
        for record in tuple(self._unplaced):
            self._house(record)

    def lose(self) -> None:
        """See `Owner`."""
        for record in self._placed.values():
            record.lose()
            self._unplaced.add(record)
        self._placed.clear()

    def give_up(self, error: CSMError) -> None:
        """See `Owner`."""
        if not self.hello.done():
            self.hello.set_exception(error)
        for record in self._records:
            record.fail(error)

    def look(self) -> None:
        """See off who left, give up on orders that waited for too long, and leave a server that is about to end."""
        while not self._departed.empty():
            self._see_off(*self._departed.get_nowait())
        before = time.monotonic() - self._patience_s
        for record in self._unplaced:
            if record.lost_s is not None and record.lost_s < before:
                told = f"no server could be reached for {self._patience_s:g} s; is it running under this address?"
                record.fail(EngineUnreachableError(told), before)
        if self._draining and not any(record.is_waiting for record in self._placed.values()):
            self.connection.leave()

    def take(self, message: m.ServerMessage | Packet) -> None:
        """See `Owner`."""
        match message:
            case Packet():
                record = self._placed.get(message.conversation)
                if record is not None:
                    record.take_packet(message)
            case m.Stats():
                self.stats = message
            case m.VoicesChanged():
                self.voices = message.voices
            case m.Draining():
                self._draining = True
            case m.Opened() if message.conversation in self._placed:
                self._placed[message.conversation].settle_in()
            case m.Closed():
                self._take_closed(message)
            case m.Began() | m.Words() | m.Ended() | m.Heard() | m.Context() | m.Failed():
                wire = message.conversation
                if wire is not None and wire in self._placed and self._placed[wire].take(message):
                    self._unhouse(wire)

    @property
    def _records(self) -> list[Record]:
        return [*self._placed.values(), *self._unplaced]

    def _house(self, record: Record) -> None:
        """Open a unplaced record on the server, if there is one that goes on."""
        if record.closed:
            self._unplaced.discard(record)
        elif record in self._unplaced and self.connection.is_open and not self._draining:
            self._unplaced.discard(record)
            wire = next(self._wires)
            self._placed[wire] = record
            record.open(wire)
        elif record in self._unplaced:
            record.lose()
            self.connection.ring()

    def _unhouse(self, wire: int) -> None:
        """Take a record from a server that cannot go on with it, and find another place for it."""
        record = self._placed.pop(wire)
        record.lose()
        self._unplaced.add(record)
        self.post(m.Close(conversation=wire))
        self.connection.call(partial(self._house, record), RETRY_S)

    def _take_closed(self, closed: m.Closed) -> None:
        record = self._placed.get(closed.conversation)
        if record is None or closed.error is None:
            self._placed.pop(closed.conversation, None)
        elif passes(closed.error) or is_busy(closed.error):
            self._unhouse(closed.conversation)
        else:
            del self._placed[closed.conversation]
            record.fail(error_of(closed.error))
            record.close()

    def _see_off(self, record: Record, spoken: SpeakOrder | None) -> None:
        """Cancel an utterance that nobody reads, or close a conversation that nobody holds."""
        if spoken is not None:
            record.cancel(spoken)
            return
        record.close()
        self._unplaced.discard(record)
        for wire in [wire for wire, known in self._placed.items() if known is record]:
            del self._placed[wire]
