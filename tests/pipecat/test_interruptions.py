"""The listener speaks: what is cut off, what survives, and how soon the engine is free."""

from __future__ import annotations

import asyncio

import numpy as np
from pipecat.frames.frames import (
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
)

from csm_plugin.audio.pcm import to_int16
from csm_plugin.pipecat import CSMTTSService
from tests.pipecat.harness import running, samples, tokens
from tests.scripted_engine import Script, ScriptedEngine

LONG = "This sentence goes on and on and on until somebody says stop."


def endless(text: str) -> Script:
    """A slow, practically endless utterance for LONG; three quick frames for any other text."""
    return Script(frames=100_000, frame_delay_s=0.001) if text == LONG else Script(frames=3)


async def test_no_audio_follows_an_interruption_in_mid_sentence() -> None:
    engine = ScriptedEngine(endless)
    service = CSMTTSService(engine=engine)
    async with running(service) as session:
        await session.reply(LONG)
        await session.until(lambda: len(session.of(TTSAudioRawFrame)) >= 3)
        await session.send(InterruptionFrame())
        await session.until(lambda: session.of(InterruptionFrame))
        assert engine.stats().live_rows == 0
        stepped = engine.frames_stepped
        await session.reply("Yes?")
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
    after = session.down[session.down.index(session.of(InterruptionFrame)[0]) :]
    np.testing.assert_array_equal(samples(after), to_int16(engine.segments[-1].pcm))
    assert engine.segments[-1].text == "Yes?"
    assert engine.frames_stepped == stepped + 3
    assert len(service.conversation.interruptions) == 1
    assert session.errors == []


async def test_an_interruption_drops_the_text_that_was_not_spoken_yet() -> None:
    engine = ScriptedEngine(endless)
    async with running(CSMTTSService(engine=engine)) as session:
        await session.send(LLMFullResponseStartFrame(), *tokens(LONG + " Never said. Half a sen"))
        await session.until(lambda: session.of(TTSAudioRawFrame))
        await session.send(InterruptionFrame())
        await session.until(lambda: session.of(InterruptionFrame))
        await session.reply("tence is new.")
    assert [segment.text for segment in engine.segments] == [LONG, "tence is new."]


async def test_uninterruptible_speech_survives_an_interruption() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=30, frame_delay_s=0.001))
    service = CSMTTSService(engine=engine)
    frame = TTSSpeakFrame("Please hear this out.")
    frame.interruptible = False
    async with running(service) as session:
        await session.send(frame)
        await session.until(lambda: len(session.of(TTSAudioRawFrame)) >= 3)
        await session.send(InterruptionFrame())
        await session.until(lambda: session.of(TTSStoppedFrame))
    np.testing.assert_array_equal(samples(session.down), to_int16(engine.segments[0].pcm))
    assert len(session.of(TTSAudioRawFrame)) == 30
    assert session.down.index(session.of(InterruptionFrame)[0]) < session.down.index(session.of(TTSAudioRawFrame)[-1])
    assert service.conversation.interruptions == []


async def test_a_reply_behind_uninterruptible_speech_is_dropped_alone() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=30, frame_delay_s=0.001))
    kept = TTSSpeakFrame("Please hear this out.")
    kept.interruptible = False
    async with running(CSMTTSService(engine=engine)) as session:
        await session.send(kept)
        await session.reply("And this is not important.")
        await session.until(lambda: len(session.of(TTSAudioRawFrame)) >= 3)
        await session.send(InterruptionFrame())
        await session.until(lambda: session.of(TTSStoppedFrame))
        await session.send(TTSSpeakFrame("Next."))
    assert [segment.text for segment in engine.segments] == ["Please hear this out.", "Next."]


async def test_a_thousand_interruptions_leave_nothing_behind() -> None:
    engine = ScriptedEngine(endless)
    service = CSMTTSService(engine=engine)
    tasks: list[int] = []
    async with running(service) as session:
        for count in range(1, 1_001):
            session.down.clear()
            await session.send(TTSSpeakFrame(LONG))
            await session.until(lambda: engine.live)
            await session.send(InterruptionFrame())
            await session.until(lambda: session.of(InterruptionFrame))
            assert not engine.live
            assert not session.of(TTSStoppedFrame)
            if count in (100, 1_000):
                await asyncio.sleep(1.0)
                tasks.append(len(asyncio.all_tasks()))
        assert tasks[0] == tasks[1]
        assert service.get_audio_contexts() == []
        assert service._tts_contexts == {}
        assert service.conversation.segments == ()
        await session.reply("Yes?")
        await session.until(lambda: session.of(TTSStoppedFrame))
    assert session.errors == []
    assert engine.segments[-1].text == "Yes?"


async def test_a_cancelled_pipeline_frees_the_engine() -> None:
    engine = ScriptedEngine(endless)
    async with running(CSMTTSService(engine=engine)) as session:
        await session.reply(LONG)
        await session.until(lambda: session.of(TTSAudioRawFrame))
        await session.worker.cancel()
        await session.until(lambda: not engine.live)
        await session.until(lambda: engine.conversations[0].closed)
