"""One piece of speech on its way from the device thread to whoever listens."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from csm_plugin.errors import CSMError
from csm_plugin.settings import FRAME_S

FinishReason = Literal["end", "length", "cancelled", "error"]

MAX_BUFFERED_FRAMES = 25
"""2 s of audio: generation pauses when so much waits for the reader."""

MAX_CHUNK_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it is spoken, in seconds since its utterance began."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """The next piece of an utterance.

    Args:
        pcm: float32 [n * 1920] in [-1, 1], mono, 24 kHz.
        codes: int32 [n, codebooks].
        start_s: seconds since the utterance began.
        words: the words that end in this chunk.
    """

    pcm: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int32]
    start_s: float
    words: tuple[Word, ...] = ()


class Utterance:
    """Speech that is being made. Iterate over it once, with `for` or `async for`, to take its chunks.

    The first chunk is one frame (80 ms); a later one is all that is ready, up to 640 ms. When 2 s wait for a slow
    reader, generation pauses; when the reader leaves the loop, the utterance is cancelled. Safe from any thread.
    """

    def __init__(self, text: str, *, on_cancel: Callable[[], None], on_room: Callable[[], None]) -> None:
        self.text = text
        """What is spoken, as the model reads it."""
        self._on_cancel = on_cancel
        self._on_room = on_room
        self._changed = threading.Condition()
        self._frames: deque[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]] = deque()
        self._taken = 0
        self._finish_reason: FinishReason | None = None
        self._error: CSMError | None = None
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    @property
    def finish_reason(self) -> FinishReason | None:
        """None while it is spoken; then "end", "length" (cut off at its cap), "cancelled" or "error"."""
        return self._finish_reason

    @property
    def taken_frames(self) -> int:
        """How many frames the reader has taken."""
        return self._taken

    @property
    def done(self) -> bool:
        """Whether no more frames will be made."""
        return self._finish_reason is not None

    @property
    def exhausted(self) -> bool:
        """Whether it is over and the reader has taken all of it."""
        return self.done and not self._frames

    @property
    def full(self) -> bool:
        """Whether the reader is so far behind that generation should pause."""
        return len(self._frames) >= MAX_BUFFERED_FRAMES

    def cancel(self) -> None:
        """Stop speaking: no further step is taken, no further audio is delivered. Never blocks."""
        if self.discard():
            self._on_cancel()

    def discard(self) -> bool:
        """Drop what was not taken and end; tell whether there was anything left to end. For the engine."""
        with self._changed:
            if self.exhausted:
                return False
            self._frames.clear()
            self._finish_reason = None
            self.finish("cancelled")
            return True

    def __iter__(self) -> Iterator[SpeechChunk]:
        try:
            while True:
                with self._changed:
                    while not self._frames and not self.done:
                        self._changed.wait()
                    chunk = self._take()
                if chunk is None:
                    return
                self._on_room()
                yield chunk
        finally:
            self._leave()

    async def __aiter__(self) -> AsyncIterator[SpeechChunk]:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        try:
            while True:
                with self._changed:
                    self._waiter = (loop, ready)
                    ready.clear()
                    waiting = not self._frames and not self.done
                    chunk = None if waiting else self._take()
                if waiting:
                    await ready.wait()
                elif chunk is None:
                    return
                else:
                    self._on_room()
                    yield chunk
        finally:
            self._leave()

    def _leave(self) -> None:
        """The reader goes: nobody will take what is left."""
        self._waiter = None
        self.cancel()
        self._on_cancel = self._on_room = _nothing  # what they hold, the conversation, may go

    def _take(self) -> SpeechChunk | None:
        """Return the next chunk, None at the end. The lock is held."""
        if not self._frames:
            if self._error is not None:
                raise self._error
            return None
        start, count = self._taken, min(len(self._frames), MAX_CHUNK_FRAMES)
        codes, pcm = zip(*(self._frames.popleft() for _ in range(count)), strict=True)
        self._taken += count
        return SpeechChunk(np.concatenate(pcm), np.stack(codes), start * FRAME_S)

    def deliver(self, frames: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]) -> None:
        """Hand frames to the reader. For the engine."""
        with self._changed:
            if not self.done:
                self._frames.extend(frames)
                self._notify()

    def finish(self, reason: FinishReason, error: CSMError | None = None) -> None:
        """Mark the end; the first reason stays. For the engine."""
        with self._changed:
            if self._finish_reason is None:
                self._finish_reason = reason
                self._error = error
                self._notify()

    def _notify(self) -> None:
        self._changed.notify_all()
        if self._waiter is not None:
            loop, ready = self._waiter
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(ready.set)


def _nothing() -> None:
    pass
