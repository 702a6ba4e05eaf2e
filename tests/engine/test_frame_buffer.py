"""What waits for the reader of an utterance."""

from __future__ import annotations

import asyncio

import numpy as np

from csm_plugin.conversation import Word
from csm_plugin.conversation.frame_buffer import Frame, FrameBuffer
from csm_plugin.conversation.utterance import Utterance

FRAME = Frame(np.ones(4, np.int32), np.zeros(1_920, np.float32))


async def loop_turns() -> None:
    """Let the loop go round often enough for a reader to take what is there."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_silence_that_is_held_back_does_not_end_the_reading() -> None:
    buffer = FrameBuffer()
    utterance = Utterance("One, two.", buffer, cancel=lambda: None, leave=lambda: None, taken=lambda: None)

    async def read() -> list[int]:
        return [len(chunk.codes) async for chunk in utterance]

    reading = asyncio.create_task(read())
    for frames in ([FRAME], [], [], [FRAME, FRAME], []):
        buffer.deliver(frames)
        await loop_turns()
        assert not reading.done()
    buffer.finish("end")
    assert await reading == [1, 2]


async def test_words_that_come_after_the_last_frame_come_alone() -> None:
    buffer = FrameBuffer()
    utterance = Utterance("One.", buffer, cancel=lambda: None, leave=lambda: None, taken=lambda: None)

    async def read() -> list[tuple[int, list[str]]]:
        return [(len(chunk.codes), [word.text for word in chunk.words]) async for chunk in utterance]

    reading = asyncio.create_task(read())
    buffer.deliver([FRAME])
    await loop_turns()
    buffer.deliver([])
    await loop_turns()
    buffer.finish("end", late=[Word("One.", 0.0, 0.08)])
    assert await reading == [(1, []), (0, ["One."])]


async def test_only_a_reader_who_goes_before_the_end_leaves() -> None:
    left: list[int] = []

    def utterance(number: int) -> Utterance:
        buffer = FrameBuffer()
        buffer.deliver([FRAME, FRAME])
        buffer.finish("end")
        return Utterance("One.", buffer, cancel=lambda: None, leave=lambda: left.append(number), taken=lambda: None)

    assert len(list(utterance(0))) == len([chunk async for chunk in utterance(1)]) == 2
    chunks = iter(utterance(2))
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    reading = aiter(utterance(3))
    await anext(reading)
    await reading.aclose()  # type: ignore[attr-defined]
    assert left == [2, 3]
