"""Frames between the device thread and one reader: bounded by the engine, closed with a reason."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation.words import Word
from csm_plugin.errors import CSMError

FinishReason = Literal["end", "length", "cancelled", "error"]


@dataclass(slots=True)
class Frame:
    """80 ms of speech.

    Args:
        codes: int32 [codebooks].
        pcm: float32 [1920].
        words: the words that end in it.
    """

    codes: npt.NDArray[np.int32]
    pcm: npt.NDArray[np.float32]
    words: tuple[Word, ...] = ()


class FrameBuffer:
    """What was made of an utterance and not taken yet. Safe from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frames: deque[Frame] = deque()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._error: CSMError | None = None
        self._late: tuple[Word, ...] = ()
        self.finish_reason: FinishReason | None = None
        self.taken = 0
        """How many frames the reader has taken."""

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def done(self) -> bool:
        """Whether no more frames will be made."""
        return self.finish_reason is not None

    @property
    def exhausted(self) -> bool:
        """Whether it is over and the reader has taken all of it."""
        return self.done and not self._frames

    def deliver(self, frames: Sequence[Frame]) -> None:
        """Hand frames to the reader."""
        with self._changed:
            if frames and not self.done:
                self._frames.extend(frames)
                self._notify()

    def finish(self, reason: FinishReason, error: CSMError | None = None, late: Sequence[Word] = ()) -> None:
        """Mark the end; the first reason stays.

        Args:
            late: words whose end was found out only now, when all frames had been delivered.
        """
        with self._changed:
            if self.finish_reason is None:
                self.finish_reason = reason
                self._error = error
                self._late = tuple(late)
                self._notify()

    def discard(self) -> bool:
        """Drop what was not taken and end as cancelled; tell whether there was anything left to end."""
        with self._changed:
            if self.exhausted:
                return False
            self._frames.clear()
            self._late = ()
            self.finish_reason = "cancelled"
            self._notify()
            return True

    def take(self, most: int) -> tuple[list[Frame], tuple[Word, ...]]:
        """Take up to `most` frames, at once; with the last ones the words whose end was found out later.

        Raises:
            CSMError: the utterance failed, and everything before that was taken.
        """
        with self._changed:
            if not self._frames and self._error is not None:
                raise self._error
            frames = [self._frames.popleft() for _ in range(min(most, len(self._frames)))]
            self.taken += len(frames)
            late: tuple[Word, ...] = ()
            if not self._frames:
                late, self._late = self._late, ()
            return frames, late

    def wait(self) -> None:
        """Block until there is something to take, or nothing more will come."""
        with self._changed:
            while not self._frames and not self.done:
                self._changed.wait()

    async def wait_async(self) -> None:
        """As `wait`, for an event loop."""
        while True:
            ready = asyncio.Event()
            with self._changed:
                if self._frames or self.done:
                    return
                self._waiter = (asyncio.get_running_loop(), ready)
            await ready.wait()

    def _notify(self) -> None:
        self._changed.notify_all()
        if self._waiter is not None:
            loop, ready = self._waiter
            self._waiter = None
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(ready.set)
