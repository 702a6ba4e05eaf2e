"""Replies to a turn that is predicted to be over: its words stand before the reply, or nothing of it stays."""

from __future__ import annotations

import asyncio

import pytest
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    EagerTranscriptionFrame,
    LLMContextUserTurnFrame,
    LLMMessagesAppendFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection
from pipecat.turns.user_turn_strategies import EagerUserTurnStrategies
from pipecat.utils.time import time_now_iso8601

from csm_plugin.pipecat import CSMTTSService
from csm_plugin.pipecat.listening import Understanding
from csm_plugin.settings import FRAME_S
from tests.pipecat.room import Room, talking
from tests.pipecat.test_heard import talk_of, words_in
from tests.scripted_engine import Script, ScriptedEngine

EAGER = LLMUserAggregatorParams(user_turn_strategies=EagerUserTurnStrategies())


def service() -> CSMTTSService:
    return CSMTTSService(
        engine=ScriptedEngine(lambda text: Script(frames=len(text), frames_per_chunk=4, frame_delay_s=2 * FRAME_S))
    )


async def predict(room: Room, predicted: str, seconds: float = 0.8) -> None:
    """Speak, until the recogniser predicts that the turn is over."""
    await room.session.send(ProposedUserStartedSpeakingFrame())
    await room.speech(seconds)
    await room.session.send(EagerTranscriptionFrame(predicted, "user", time_now_iso8601()))


async def commit(room: Room, text: str) -> None:
    """Have the turn end with these words."""
    await room.session.send(
        TranscriptionFrame(text, "user", time_now_iso8601(), finalized=True), ProposedUserStoppedSpeakingFrame()
    )


def both(room: Room) -> tuple[list[tuple[bool, list[str]]], list[tuple[bool, list[str]]]]:
    """What the conversation and the LLM's context hold: by turn, whether the agent said it, and its words."""
    ours: list[tuple[bool, list[str]]] = []
    for segment in talk_of(room.service).segments:
        words = words_in(segment.text)
        if ours and ours[-1][0] == (segment.speaker == 0):
            ours[-1][1].extend(words)
        else:
            ours.append((segment.speaker == 0, words))
    messages = room.context.get_messages()
    return ours, [(message["role"] == "assistant", words_in(str(message["content"]))) for message in messages]


@pytest.mark.parametrize("sure_after_s", [0.01, 0.1, 1.2], ids=["at once", "while it answers", "once it answered"])
async def test_a_turn_that_was_predicted_stands_before_its_reply(sure_after_s: float) -> None:
    replies = ["It is noon, or a little later than that, I believe.", "Quite late. Shall we go on with it?"]
    async with talking(service(), replies, user_params=EAGER) as room:
        for said in ("what time is it", "and now"):
            await predict(room, said)
            await asyncio.sleep(sure_after_s)
            await commit(room, f"{said.capitalize()}?")
            await asyncio.sleep(6.0)
        ours, theirs = both(room)
        assert ours == theirs
        assert [words for is_agent, words in ours if not is_agent] == [["what", "time", "is", "it"], ["and", "now"]]
        assert len(room.brain.said) == 2


async def test_whoever_passes_a_turns_words_on_is_not_taken_for_the_aggregator() -> None:
    """It was, behind a turn's answer, and the words of all later turns came too late."""
    ours, passing, known = IdentityFilter(), IdentityFilter(), []
    understanding = Understanding(lambda _frame, is_ours: known.append(is_ours))

    async def push(frame: LLMContextUserTurnFrame, *sources: IdentityFilter) -> None:
        for source in sources:
            await understanding.on_push_frame(FramePushed(source, passing, frame, FrameDirection.DOWNSTREAM, 0))

    first, second = (LLMContextUserTurnFrame(text, time_now_iso8601()) for text in ("one", "two"))
    await push(first, ours, passing)
    understanding.come_by(first)
    await push(second, ours, passing)
    assert known == [False, True]


@pytest.mark.parametrize("after_s", [0.3, 0.8, 1.5, 2.5])
async def test_a_predicted_turns_reply_is_cut_word_for_word(after_s: float) -> None:
    async with talking(service(), ["It is noon, or a little later than that, I believe."], user_params=EAGER) as room:
        await predict(room, "what time is it")
        await asyncio.sleep(0.2)
        await commit(room, "What time is it?")
        await asyncio.sleep(after_s)
        await room.interrupt()
        await asyncio.sleep(0.5)
        ours, theirs = both(room)
        assert ours == theirs


async def test_a_prediction_that_is_withdrawn_leaves_nothing_behind() -> None:
    async with talking(service(), ["Never said at all.", "All right then."], user_params=EAGER) as room:
        await predict(room, "well")
        await asyncio.sleep(0.5)
        await room.session.send(EagerEndOfTurnCancelFrame())
        await room.speech(1.0)
        assert not room.loudspeaker.played
        await commit(room, "Well, let me think.")
        await asyncio.sleep(3.0)
        ours, theirs = both(room)
        assert ours == theirs == [(False, ["well", "let", "me", "think"]), (True, ["all", "right", "then"])]
        assert [segment.text for segment in room.service._engine.segments] == ["All right then."]  # type: ignore[union-attr]


async def test_a_prediction_that_was_wrong_leaves_nothing_behind() -> None:
    async with talking(service(), ["Never said at all.", "All right then."], user_params=EAGER) as room:
        await predict(room, "tell me")
        await asyncio.sleep(0.4)
        await commit(room, "Tell me nothing.")
        await asyncio.sleep(3.0)
        ours, theirs = both(room)
        assert ours == theirs == [(False, ["tell", "me", "nothing"]), (True, ["all", "right", "then"])]


async def test_a_reply_to_typed_input_does_not_end_the_first_turn_that_is_spoken() -> None:
    async with talking(service(), ["That was typed.", "And that was said."], user_params=EAGER) as room:
        await room.session.send(ProposedUserStartedSpeakingFrame())
        await room.speech(1.0)
        await room.session.send(LLMMessagesAppendFrame([{"role": "user", "content": "Typed."}], run_llm=True))
        await asyncio.sleep(1.0)
        await commit(room, "Said.")
        await asyncio.sleep(5.0)
        held = [(segment.speaker, segment.text) for segment in talk_of(room.service).segments]
    assert held == [(0, "That was typed."), (1, "Said."), (0, "And that was said.")]
