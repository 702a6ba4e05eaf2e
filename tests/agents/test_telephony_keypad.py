"""Keys become words: each of them once, whenever they are pressed."""

from __future__ import annotations

import asyncio

import pytest
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import (
    Frame,
    InputDTMFFrame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    PipelineFlushFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from agents.telephony.keypad import MAX_KEYS, Keypad
from tests.pipecat.harness import Session, running
from tests.pipecat.virtual_time import VirtualTimeLoop


async def press(session: Session, keys: str) -> None:
    await session.send(*(InputDTMFFrame(KeypadEntry(key)) for key in keys))


def told(session: Session) -> list[str]:
    """The keys of each entry that was told to the brain."""
    words = [str(frame.messages[0]["content"]) for frame in session.of(LLMMessagesAppendFrame)]
    assert all(entry.startswith("I pressed ") and entry.endswith(" on the keypad.") for entry in words)
    return ["".join(entry.removeprefix("I pressed ").removesuffix(" on the keypad.").split()) for entry in words]


class Latecomer(FrameProcessor):
    """Presses keys in the moment in which an entry is about to be told."""

    def __init__(self, keys: str) -> None:
        super().__init__()
        self._keys = list(keys)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, PipelineFlushFrame) and self._keys:
            await self.pipeline_worker.queue_frame(InputDTMFFrame(KeypadEntry(self._keys.pop(0))))
        await self.push_frame(frame, direction)


def pressing(keys: str, *, later: str = "") -> list[str]:
    """The entries that are told of keys that are pressed at once, and of others that come while those are told."""

    async def run() -> list[str]:
        async with running(Keypad(), Latecomer(later)) as session:
            await press(session, keys)
            await asyncio.sleep(60.0)
            assert len(session.of(InterruptionFrame)) == len(keys + later)
        return told(session)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(run())


def test_keys_are_told_together_after_a_pause() -> None:
    assert pressing("123") == ["123"]


@pytest.mark.parametrize(("keys", "later"), [("12#34#", ""), ("1#", "2"), ("1", "2"), ("1#", "234#"), ("#", "#")])
def test_no_key_is_lost_that_comes_while_an_entry_is_told(keys: str, later: str) -> None:
    assert "".join(pressing(keys, later=later)) == keys + later


def test_an_entry_has_an_end() -> None:
    assert pressing("1" * (3 * MAX_KEYS)) == ["1" * MAX_KEYS]
