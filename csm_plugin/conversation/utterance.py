"""One piece of speech, as its reader holds it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation.frame_buffer import FinishReason, Frame, FrameBuffer
from csm_plugin.conversation.words import Word
from csm_plugin.errors import InputError
from csm_plugin.settings import FRAME_S

MAX_CHUNK_FRAMES = 8


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """The next piece of an utterance.

    Args:
        pcm: float32 [n * 1920] in [-1, 1], mono, 24 kHz.
        codes: int32 [n, codebooks].
        start_s: seconds since the utterance began.
        words: the words that end in this chunk. The last chunk also brings those that were found to have ended before
            it only when the utterance was over; it has no sound, if all of that had been taken by then.
    """

    pcm: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int32]
    start_s: float
    words: tuple[Word, ...] = ()


class Utterance:
    """Speech that is being made. Iterate over it once, with `for` or `async for`, to take its chunks.

    The first chunk is one frame (80 ms); a later one is all that is ready, up to 640 ms. When 2 s wait for a slow
    reader, generation pauses; when the reader leaves the loop, the utterance is cancelled in the next moment. Safe from
    any thread.

    Args:
        text: what is spoken.
        buffer: where its frames come from.
        cancel: cancels it.
        leave: asks for that without taking a lock, for readers that go before the end, even by garbage collection.
        taken: tells the engine that there is room in the buffer.
    """

    def __init__(
        self,
        text: str,
        buffer: FrameBuffer,
        *,
        cancel: Callable[[], None],
        leave: Callable[[], None],
        taken: Callable[[], None],
    ) -> None:
        self.text = text
        """What is spoken, as the model reads it."""
        self._buffer = buffer
        self._cancel = cancel
        self._leave = leave
        self._on_taken = taken
        self._read = False
        self._last: Frame | None = None

    @property
    def finish_reason(self) -> FinishReason | None:
        """None while it is spoken; then "end", "length" (cut off at its cap), "cancelled" or "error"."""
        return self._buffer.finish_reason

    @property
    def done(self) -> bool:
        """Whether no more frames will be made."""
        return self._buffer.done

    def reads(self, buffer: FrameBuffer) -> bool:
        """Whether its frames come from there."""
        return self._buffer is buffer

    def cancel(self) -> None:
        """Stop speaking: no further step is taken, no further audio is delivered. Never blocks."""
        self._cancel()

    def __iter__(self) -> Iterator[SpeechChunk]:
        self._begin_reading()
        return self._chunks()

    def __aiter__(self) -> AsyncIterator[SpeechChunk]:
        self._begin_reading()
        return self._chunks_async()

    def _chunks(self) -> Iterator[SpeechChunk]:
        try:
            while True:
                self._buffer.wait()
                chunk = self._take()
                if chunk is None:
                    return
                yield chunk
        except BaseException:
            self._leave()
            raise

    async def _chunks_async(self) -> AsyncIterator[SpeechChunk]:
        try:
            while True:
                await self._buffer.wait_async()
                chunk = self._take()
                if chunk is None:
                    return
                yield chunk
        except BaseException:
            self._leave()
            raise

    def _take(self) -> SpeechChunk | None:
        """Return the next chunk, None at the end."""
        start = self._buffer.taken
        frames, late = self._buffer.take(MAX_CHUNK_FRAMES if start else 1)
        words = (*(word for frame in frames for word in frame.words), *late)
        if frames:
            self._last = frames[-1]
            self._on_taken()
            codes, pcm = np.stack([frame.codes for frame in frames]), np.concatenate([frame.pcm for frame in frames])
        elif words and self._last is not None:
            codes, pcm = self._last.codes[None][:0], self._last.pcm[:0]
        else:
            return None
        return SpeechChunk(pcm, codes, start * FRAME_S, words)

    def _begin_reading(self) -> None:
        if self._read:
            raise InputError("this utterance is being read already, or was; its chunks can be taken once")
        self._read = True
