"""How far a conversation's sound may run ahead of whoever takes it."""

from __future__ import annotations

import asyncio

from csm_plugin.engine.transfer import Key


class Window:
    """Frames that were sent and not taken yet. For one event loop.

    Args:
        most: how many there may be; None if the far side does not tell what it takes: then what is sent is taken.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._sent: dict[Key, int] = {}
        self._taken: dict[Key, int] = {}
        self._over: set[Key] = set()
        self._open = asyncio.Event()
        self._open.set()

    async def wait(self) -> None:
        """Wait until something may be sent."""
        await self._open.wait()

    def send(self, key: Key, frames: int) -> None:
        """Note that frames of a piece are sent."""
        self._sent[key] = self._sent.get(key, 0) + frames
        if self._most is None:
            self._taken[key] = self._sent[key]
        self._settle(key)

    def take(self, key: Key, frames: int) -> None:
        """Note how many frames of a piece were taken so far."""
        if key in self._sent:
            self._taken[key] = max(self._taken.get(key, 0), min(frames, self._sent[key]))
            self._settle(key)

    def end(self, key: Key) -> None:
        """Note that nothing more of a piece will be sent."""
        self._over.add(key)
        self._settle(key)

    def withdraw(self, keys: set[Key]) -> dict[Key, int]:
        """Count nothing of some pieces as being under way; return how much of each was taken."""
        taken = {key: self._taken.get(key, 0) for key in keys}
        for key in keys:
            self._forget(key)
        self._settle(None)
        return taken

    def under_way(self, number: int | None = None) -> set[Key]:
        """Return the pieces, of a number or all, of which something was sent and not all was taken."""
        return {key for key, sent in self._sent.items() if number in (None, key[0]) and self._taken.get(key, 0) < sent}

    def _settle(self, key: Key | None) -> None:
        if key in self._over and key is not None and self._taken.get(key, 0) >= self._sent.get(key, 0):
            self._forget(key)
        ahead = sum(self._sent.values()) - sum(self._taken.values())
        if self._most is None or ahead < self._most:
            self._open.set()
        else:
            self._open.clear()

    def _forget(self, key: Key) -> None:
        self._sent.pop(key, None)
        self._taken.pop(key, None)
        self._over.discard(key)
