"""A socket to one of several servers, in a thread of its own: made, kept, and made again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from loguru import logger
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from csm_plugin.errors import CSMError, EngineUnreachableError, SettingsError
from csm_plugin.protocol import messages as m
from csm_plugin.protocol.faults import error_of
from csm_plugin.protocol.wire import Packet

CONNECT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
PING_S = 10.0
"""Pause between pings, and time for their answer."""

TALK_S = 30.0
"""A socket that is needed says something at least so often."""

LOOK_S = 0.1
MAX_MESSAGE_BYTES = 2**20
REFUSED = 401
NOWHERE = frozenset({403, 404})
"""How servers answer where they have no such socket."""


class Owner(Protocol):
    """Who uses a connection. All of it is called in the connection's thread."""

    @property
    def is_needed(self) -> bool:
        """Whether there should be a connection."""

    def greet(self, hello: m.Hello) -> None:
        """Meet a server; raises a CSMError if it is none to be used."""

    def begin(self) -> None:
        """Use the connection: it is open."""

    def take(self, message: m.ServerMessage | Packet) -> None:
        """Take something in."""

    def lose(self) -> None:
        """Do without: the connection is gone."""

    def look(self) -> None:
        """Look after things; called about every `LOOK_S`, and when `ring` was."""

    def give_up(self, error: CSMError) -> None:
        """Note that a server refuses the key or is none; with only one no further attempt is made."""


class Connection:
    """Connects with a server. Safe from any thread; nothing blocks but `close`.

    Args:
        urls: of `/v1/stream`; the next one is tried where one fails.
        api_key: sent in a header.
    """

    def __init__(self, urls: Sequence[str], api_key: str | None, owner: Owner) -> None:
        self._urls = itertools.cycle(urls)
        self._tries = len(urls)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._owner = owner
        self._outbox: deque[str | bytes] = deque()
        self._socket: ClientConnection | None = None
        self._failures = 0
        self._closing = False
        self.made = 0
        """How often it was made."""
        self._loop = asyncio.new_event_loop()
        self._rung = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="csm-connection", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether there is a server now."""
        return self._socket is not None

    def post(self, message: m.ClientMessage | Packet) -> None:
        """Send something; nothing if there is no server."""
        self._outbox.append(message.pack() if isinstance(message, Packet) else message.model_dump_json())
        self.ring()

    def ring(self) -> None:
        """Let somebody look. Takes no lock."""
        self.call(self._rung.set)

    def call(self, work: Callable[[], object], after_s: float = 0.0) -> None:
        """Do something in the connection's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: so is the engine
            if after_s:
                self._loop.call_soon_threadsafe(self._loop.call_later, after_s, work)
            else:
                self._loop.call_soon_threadsafe(work)

    def leave(self) -> None:
        """Disconnect from this server, and find another one. For the connection's thread."""
        if self._socket is not None:
            leaving = asyncio.ensure_future(self._socket.close())
            leaving.add_done_callback(lambda done: done.cancelled() or done.exception())

    def close(self) -> None:
        """Disconnect, and end the thread."""
        self._closing = True
        self.ring()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(CONNECT_S)

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

    async def _stay_connected(self) -> None:
        while not self._closing:
            try:
                await self._connect(next(self._urls))
                while not self._owner.is_needed and not self._closing:  # closed because nothing was said
                    await self._rest(TALK_S)
                continue
            except InvalidStatus as error:
                refusal = self._refusal_in(error.response.status_code)
                if refusal is not None:
                    self._owner.give_up(refusal)
                    if self._tries == 1:
                        return
                problem: Exception = error
            except (OSError, WebSocketException, ValueError, LookupError, CSMError) as error:
                problem = error
            self._failures += 1
            logger.debug("no connection to a server", error=type(problem).__name__, failures=self._failures)
            await self._rest(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._failures) * random.uniform(0.5, 1.0))

    def _refusal_in(self, status: int) -> SettingsError | None:
        """Return what a status says of the settings; one of a server that was there before says nothing."""
        if status == REFUSED:
            return SettingsError("the server refuses the api_key; pass a valid one")
        if status in NOWHERE and not self.made:
            return SettingsError(
                f"there is no /v1/stream at this address (it answers {status}); pass that of csm serve, like "
                "http://host:8000"
            )
        return None

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
            max_size=MAX_MESSAGE_BYTES,
            proxy=None,
            logger=_quiet_logger(),
        ) as socket:
            self._owner.greet(_hello(await asyncio.wait_for(socket.recv(), CONNECT_S)))
            self._socket, self._failures = socket, 0
            self.made += 1
            self.post(m.Ping())
            self._owner.begin()
            writing = asyncio.create_task(self._write(socket))
            try:
                async for message in socket:
                    self._owner.take(
                        Packet.unpack(message) if isinstance(message, bytes) else m.SERVER.validate_json(message)
                    )
            finally:
                self._socket = None
                self._outbox.clear()
                self._owner.lose()
                self._outbox.clear()
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, socket: ClientConnection) -> None:
        last = time.monotonic()
        while not self._closing:
            self._rung.clear()
            self._owner.look()
            while self._outbox:
                await socket.send(self._outbox.popleft())
                last = time.monotonic()
            if not self._rung.is_set():
                await self._rest(TALK_S)
            if self._owner.is_needed and time.monotonic() - last >= TALK_S:
                self.post(m.Ping())
        await socket.close()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._owner.look()

    async def _rest(self, seconds: float) -> None:
        """Wait, or until somebody rings."""
        self._rung.clear()
        if not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rung.wait(), seconds)


def _hello(message: str | bytes) -> m.Hello:
    """Read a server's first message.

    Raises:
        CSMError: the server cannot be used now, or not at all.
    """
    hello = m.SERVER.validate_json(message)
    if isinstance(hello, m.Failed):
        raise error_of(hello.error)
    if not isinstance(hello, m.Hello) or hello.protocol != m.PROTOCOL:
        raise EngineUnreachableError(f"the server does not speak protocol {m.PROTOCOL} of /v1/stream")
    return hello


def _quiet_logger() -> logging.Logger:
    """Return a logger that does not write down what passes through the socket."""
    quiet = logging.getLogger("csm_plugin.socket")
    quiet.setLevel(logging.WARNING)
    return quiet
