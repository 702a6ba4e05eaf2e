"""What is said over what is still being heard: each keeps its place, and what is cut off later is cut alone."""

from __future__ import annotations

import asyncio

import pytest
from pipecat.frames.frames import LLMFullResponseEndFrame, LLMFullResponseStartFrame, TTSSpeakFrame
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from csm_plugin.audio.pcm import to_int16
from tests.pipecat.harness import tokens
from tests.pipecat.room import talking
from tests.pipecat.test_heard import talk_of, words_in
from tests.pipecat.test_protected import kept, spoken_at, written

POLITE = LLMUserAggregatorParams(
    user_turn_strategies=UserTurnStrategies(
        start=[VADUserTurnStartStrategy(enable_interruptions=False)],
        stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.05)],
    )
)


async def test_speech_within_a_reply_is_heard_where_it_came() -> None:
    async with talking(spoken_at(0.3), []) as room:
        await room.session.send(LLMFullResponseStartFrame(), *tokens("Let me look it up now. "))
        await asyncio.sleep(0.5)
        await room.session.send(TTSSpeakFrame("One moment please."))
        await room.session.send(*tokens("Here it is at last."), LLMFullResponseEndFrame())
        await asyncio.sleep(8.0)
        said = "Let me look it up now. One moment please. Here it is at last."
        assert room.commits.texts == [said]
        assert kept(room) == words_in(said)
        sounds = [to_int16(segment.pcm) for segment in room.service._engine.segments]  # type: ignore[union-attr]
        at = [room.loudspeaker.sound.tobytes().find(sound.tobytes()) for sound in sounds]
        assert -1 not in at and at == sorted(at)


@pytest.mark.parametrize("after_s", [0.3, 1.5, 3.0, 5.0])
async def test_a_reply_that_a_turn_did_not_interrupt_can_still_be_cut(after_s: float) -> None:
    replies = ["This is a long answer, and it goes on for a while.", "And this is the next one."]
    async with talking(spoken_at(0.2), replies, user_params=POLITE) as room:
        await room.user_says("Begin.", 0.6)
        await asyncio.sleep(1.0)
        await room.user_says("By the way.", 0.6)
        await asyncio.sleep(after_s)
        await room.interrupt()
        await asyncio.sleep(1.0)
        await room.session.send(TTSSpeakFrame("Yes?"))
        await asyncio.sleep(2.0)
        assert kept(room) == written(room)
        assert [turn[0] for turn in talk_of(room.service).heard] == ["Begin.", "By the way."]
