"""Who speaks in a session's conversation, and what of it is not settled yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from livekit.agents.voice import SpeechHandle

from csm_plugin.livekit import speeches
from csm_plugin.livekit.takes import Take, heard_frames


class Floor:
    """Belongs to one speech at a time: to the one whose turn it is, until it is known what of it was heard.

    For the session's event loop.

    Attributes:
        takes: of the speech that has the floor, in the order in which they were spoken.
    """

    def __init__(self) -> None:
        self.takes: list[Take] = []
        self._played_s: list[float] = []  # where playing stopped, by take
        self._changed = asyncio.Event()

    def is_free_for(self, speech: SpeechHandle) -> bool:
        """Whether it is a speech's turn, and nothing of another one is unsettled."""
        return speeches.has_turn(speech) and all(take.speech is speech for take in self.takes)

    async def wait(self, speech: SpeechHandle) -> None:
        """Return when the floor may have become free for a speech; whoever waits looks again."""
        awaited: list[Coroutine[Any, Any, Any]] = [self._changed.wait()]
        if not speeches.has_turn(speech):
            awaited.append(speeches.its_turn(speech))
        signs = [asyncio.create_task(one, name="csm-turn") for one in awaited]
        try:
            await asyncio.wait(signs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for sign in signs:
                sign.cancel()

    def give(self, take: Take, speech: SpeechHandle, over: Callable[[], None]) -> None:
        """Let a speech speak a take.

        Args:
            over: is called when the speech's turn is over and something of it is unsettled.
        """
        self.takes.append(take)
        speeches.when_over(speech, lambda: over() if self.belongs_to(speech) else None)

    def belongs_to(self, speech: SpeechHandle | None) -> bool:
        """Whether something of a speech is unsettled."""
        return any(take.speech is speech for take in self.takes)

    def put_off(self) -> bool:
        """Withdraw what is unsettled, to be spoken anew; False if some of it has sound already."""
        if any(take.seconds for take in self.takes):
            return False
        for take in self.takes:
            take.put_off = True
        return True

    def note_played(self, seconds: float) -> None:
        """Playing stopped after so much of a take's sound."""
        if self.takes:
            self._played_s.append(seconds)

    def heard_frames(self, text: str) -> int:
        """How many frames of the interrupted speech to keep, of which the session recorded `text`."""
        return heard_frames(self.takes, self._played_s, text)

    def clear(self) -> None:
        """All is settled: the floor is free."""
        self.takes.clear()
        self._played_s.clear()
        self.notify()

    def notify(self) -> None:
        """Let whoever waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()
