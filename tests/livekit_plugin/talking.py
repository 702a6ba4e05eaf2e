"""Both sides of a conversation in a session: replies that are known beforehand, and a user that speaks."""

from __future__ import annotations

import asyncio

import numpy as np
from livekit import rtc
from livekit.agents import UserStateChangedEvent
from livekit.agents.voice import io

from csm_plugin.livekit import TTS
from csm_plugin.livekit.testing import ClockedSession, ScriptedLLM
from csm_plugin.settings import FRAME_S
from tests.livekit_plugin.collecting import until
from tests.scripted_engine import ScriptedEngine, words_of


def answering(*replies: str) -> ScriptedLLM:
    left = iter(replies)
    return ScriptedLLM(lambda _context: next(left))


def spoken(tts: TTS) -> list[str]:
    """The texts in the conversation."""
    assert tts.context is not None
    return [segment.text for segment in tts.context.segments]


def word_ends_s(engine: ScriptedEngine) -> list[float]:
    """Where in the sound each word of the script ends."""
    ends_s, start_s = [], 0.0
    for segment in engine.segments:
        seconds = len(segment.text) * FRAME_S
        ends_s += [start_s + word.end_s for word in words_of(segment.text, seconds)]
        start_s += seconds
    return ends_s


async def interrupt_at(run: ClockedSession, seconds: float) -> None:
    await until(lambda: run.output.position_s >= seconds, timeout_s=60)
    await run.session.interrupt()


class Microphone(io.AudioInput):
    """An input that gives what it is told to."""

    def __init__(self) -> None:
        super().__init__(label="Microphone")
        self.frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.frames.get()

    async def speak(self, seconds: float, level: int) -> None:
        for _ in range(round(seconds / 0.02)):
            samples = np.full(480, level, np.int16)
            self.frames.put_nowait(rtc.AudioFrame(samples.tobytes(), 24_000, 1, 480))
        await until(self.frames.empty)


def change_user_state(run: ClockedSession, old: str, new: str, at_s: float) -> None:
    run.session.emit("user_state_changed", UserStateChangedEvent(old_state=old, new_state=new, created_at=at_s))
