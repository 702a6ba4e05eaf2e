"""The places for calls: those that a webhook announced and that are not there yet, and those that talk."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agents.session import Session

TICKET_LIFETIME_S = 30.0
CLOSE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """A call that a webhook announced.

    Args:
        provider: its name.
        call_id: the provider's name for the call.
        ends_at: until when its socket may come, by the clock of `Calls`.
    """

    provider: str
    call_id: str
    ends_at: float


class Calls:
    """Admits at most so many calls, and each only once; for one event loop.

    Args:
        limit: how many calls there may be, announced and live ones together.
        lifetime_s: how long an announced call's place is kept.
        clock: seconds, steady.

    Attributes:
        draining: nobody is announced any more.
        live: how many sockets were admitted and have not ended.
        sessions: their conversations.
    """

    def __init__(
        self, limit: int, *, lifetime_s: float = TICKET_LIFETIME_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.draining = False
        self._hung_up = False
        self._limit = limit
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._tickets: dict[bytes, Ticket] = {}  # by the token's hash, so that no comparison depends on a token
        self.sessions: set[Session] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.live = 0

    @property
    def idle(self) -> bool:
        """Whether nobody talks and nobody is expected."""
        self._forget_late()
        return self.live == 0 and not self._tickets

    def announce(self, provider: str, call_id: str) -> str | None:
        """Keep a place for a call; a call that is announced again keeps one.

        Returns:
            The token that its socket must bring, good once; or None if all places are taken.
        """
        self._forget_late()
        self._forget(lambda ticket: (ticket.provider, ticket.call_id) == (provider, call_id))
        if self.draining or len(self._tickets) + self.live >= self._limit:
            return None
        token = secrets.token_hex(24)
        self._tickets[_key(token)] = Ticket(provider, call_id, self._clock() + self._lifetime_s)
        return token

    def redeem(self, provider: str, token: str) -> Ticket | None:
        """Give the announced call for a token, which is worth nothing afterwards; None if it is not good."""
        self._forget_late()
        ticket = self._tickets.pop(_key(token), None)
        return ticket if ticket is not None and ticket.provider == provider else None

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a redeemed call's place for as long as its socket is there."""
        self.live += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.live -= 1
            if self.live == 0:
                self._empty.set()

    async def talk(self, session: Session) -> None:
        """Run a call's conversation, unless all were hung up by now."""
        if self._hung_up:
            return
        self.sessions.add(session)
        try:
            await session.run()
        finally:
            self.sessions.discard(session)

    def drain(self) -> None:
        """Announce nobody any more."""
        self.draining = True

    async def hang_up(self) -> None:
        """End every call: each agent stops where it is. Returns when they have been told; no other begins."""
        self._hung_up = True
        await asyncio.gather(*(session.leave() for session in self.sessions))

    async def close(self) -> None:
        """Hang up, and wait until every call has ended, at most 10 s."""
        self.drain()
        await self.hang_up()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), CLOSE_TIMEOUT_S)

    def _forget_late(self) -> None:
        now = self._clock()
        self._forget(lambda ticket: ticket.ends_at <= now)

    def _forget(self, which: Callable[[Ticket], bool]) -> None:
        self._tickets = {key: ticket for key, ticket in self._tickets.items() if not which(ticket)}


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
