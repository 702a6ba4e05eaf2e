"""Ahead of the listener: no gaps between sentences, no more ahead than is allowed, and silence when the LLM stalls."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from pipecat.frames.frames import (
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)

from csm_plugin.audio.pcm import to_int16
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.settings import FRAME_S
from tests.pipecat.harness import running, samples, tokens
from tests.pipecat.room import Loudspeaker
from tests.scripted_engine import Script, ScriptedEngine

REPLY = "Well, that is a good question, and I have an answer. The second sentence is here. And a third!"


def quick(text: str) -> Script:
    return Script(frames=len(text), frames_per_chunk=8, frame_delay_s=0.05)


def pauses(speaker: Loudspeaker) -> list[float]:
    """Where the sound paused, and for how long, in seconds."""
    ends = [at + len(piece) / 24_000 for at, piece in speaker.played]
    gaps = [at - end for end, (at, _) in zip(ends[:-1], speaker.played[1:], strict=True)]
    return [round(gap, 6) for gap in gaps if gap > 1e-6]


@pytest.mark.parametrize("max_ahead_s", [0.5, 4.0])
async def test_the_sentences_of_a_reply_follow_each_other_without_a_gap(max_ahead_s: float) -> None:
    engine, speaker = ScriptedEngine(quick), Loudspeaker()
    async with running(CSMTTSService(engine=engine, max_ahead_s=max_ahead_s), speaker) as session:
        await session.reply(REPLY)
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
        await asyncio.sleep(1.0)
    assert len(engine.segments) == 4
    assert pauses(speaker) == []
    np.testing.assert_array_equal(speaker.sound, np.concatenate([to_int16(s.pcm) for s in engine.segments]))


@pytest.mark.parametrize("max_ahead_s", [0.0, 1.0, 4.0])
async def test_generation_runs_ahead_of_the_listener_by_no_more_than_is_allowed(max_ahead_s: float) -> None:
    engine, speaker = ScriptedEngine(quick), Loudspeaker()
    service = CSMTTSService(engine=engine, max_ahead_s=max_ahead_s)
    ahead = []
    async with running(service, speaker) as session:
        await session.send(TTSSpeakFrame(REPLY * 3))
        for _ in range(150):
            await asyncio.sleep(0.1)
            ahead.append(engine.frames_stepped * FRAME_S - len(speaker.sound) / 24_000)
        assert not session.of(TTSStoppedFrame)
    assert max(ahead) <= max_ahead_s + 8 * FRAME_S + 0.1
    assert max(ahead) >= max_ahead_s - 0.1


async def test_a_stalling_llm_is_heard_as_silence_and_nothing_else() -> None:
    engine, speaker = ScriptedEngine(quick), Loudspeaker()
    async with running(CSMTTSService(engine=engine), speaker) as session:
        await session.send(LLMFullResponseStartFrame(), *tokens("The first one is said. "), LLMTextFrame("And"))
        await asyncio.sleep(6.0)
        await session.send(*tokens(" then it goes on."), LLMFullResponseEndFrame())
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
        await asyncio.sleep(2.0)
        (pause_s,) = pauses(speaker)
        assert pause_s > 3.0
        np.testing.assert_array_equal(speaker.sound, np.concatenate([to_int16(s.pcm) for s in engine.segments]))
        first, second = engine.segments
        silent_from = first.seconds
        words = [word for word in session.of(TTSTextFrame) if word.text in ("said.", "And")]
        said, later = (next(word.pts or 0 for word in words if word.text == text) / 1e9 for text in ("said.", "And"))
        assert later - said > pause_s, "the words behind the pause are timed to where they are heard"
        assert silent_from > 0 and second.text == "And then it goes on."


async def test_a_failing_sentence_leaves_no_hole_that_counts_as_heard() -> None:
    engine = ScriptedEngine(quick)
    async with running(CSMTTSService(engine=engine, max_ahead_s=0.0), Loudspeaker()) as session:
        await session.reply("One sentence. Another sentence.")
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
    np.testing.assert_array_equal(samples(session.down), np.concatenate([to_int16(s.pcm) for s in engine.segments]))


async def test_words_are_timed_to_when_they_are_heard() -> None:
    engine, speaker = ScriptedEngine(quick), Loudspeaker()
    async with running(CSMTTSService(engine=engine), speaker) as session:
        loop, began_s = asyncio.get_running_loop(), 0.0
        began_s = loop.time() - session.worker._clock.get_time() / 1e9
        await session.reply(REPLY)
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
        await asyncio.sleep(1.0)
    heard_at = [(word.text, (word.pts or 0) / 1e9 + began_s) for word in session.of(TTSTextFrame)]
    expected, sentence_s = [], speaker.played[0][0]
    for segment in engine.segments:
        for chunk in segment.chunks:
            expected += [(word.text, sentence_s + (word.start_s + word.end_s) / 2) for word in chunk.words]
        sentence_s += segment.seconds
    assert [text for text, _ in heard_at] == REPLY.split() == [text for text, _ in expected]
    off = [at - right for (_, at), (_, right) in zip(heard_at, expected, strict=True)]
    assert np.abs(off).max() <= FRAME_S
