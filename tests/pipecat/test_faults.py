"""What goes wrong with one utterance is reported, and costs no later one."""

from __future__ import annotations

import pytest
from pipecat.frames.frames import (
    EndFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
)
from pipecat.utils.errors import ErrorCategory

from csm_plugin.errors import (
    ContextFullError,
    CSMError,
    EngineBusyError,
    EngineClosedError,
    EngineUnreachableError,
    GenerationError,
)
from csm_plugin.pipecat import CSMTTSService
from tests.pipecat.harness import running, tokens
from tests.scripted_engine import Script, ScriptedEngine

FAULTS = [
    (Script(frames=5, fault=GenerationError("the model gave no finite logits"), fault_after=2), ErrorCategory.SERVER),
    (Script(refusal=EngineBusyError("16 utterances wait already", retry_after_s=0.5)), ErrorCategory.RATE_LIMIT),
    (Script(refusal=ContextFullError("the text does not fit")), ErrorCategory.APPLICATION),
    (Script(frames=5, fault=EngineUnreachableError("no server"), fault_after=1), ErrorCategory.CONNECTIVITY),
]


@pytest.mark.parametrize(("script", "category"), FAULTS)
async def test_a_failed_turn_is_reported_and_the_next_one_is_spoken(script: Script, category: ErrorCategory) -> None:
    engine = ScriptedEngine(lambda text: script if "fail" in text else Script(frames=2))
    service = CSMTTSService(engine=engine)
    async with running(service) as session:
        await session.reply("This will fail.")
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
        before = len(session.of(TTSAudioRawFrame))
        await session.reply("This works.")
        await session.until(lambda: len(session.of(LLMFullResponseEndFrame)) == 2)
    reported = [frame for frame in session.errors if isinstance(frame.exception, CSMError)]
    assert len(reported) == 1
    assert reported[0].category is category
    assert "This will" not in reported[0].error
    assert before == script.fault_after
    assert len(session.of(TTSAudioRawFrame)) == before + 2
    assert not engine.live


async def test_a_fault_in_one_sentence_leaves_the_rest_of_the_reply() -> None:
    fault = Script(frames=5, fault=GenerationError("the model gave no finite logits"), fault_after=1)
    engine = ScriptedEngine(lambda text: fault if "fail" in text else Script(frames=2))
    async with running(CSMTTSService(engine=engine)) as session:
        await session.reply("First of all, hello. This will fail. And this will not.")
    assert len(session.of(TTSAudioRawFrame)) == len(engine.segments[:-2]) * 2 + 1 + 2
    assert engine.segments[-1].text == "And this will not."


async def test_many_failures_in_a_row_do_not_write_the_service_off() -> None:
    busy = Script(refusal=EngineBusyError("16 utterances wait already", retry_after_s=0.5))
    engine = ScriptedEngine(lambda text: busy if "fail" in text else Script(frames=2))
    service = CSMTTSService(engine=engine)
    async with running(service) as session:
        for count in range(1, 7):
            await session.send(TTSSpeakFrame("This will fail."))
            await session.until(lambda count=count: len(session.of(TTSStoppedFrame)) == count)
        assert service.is_usable
        await session.reply("First of all, hello. This will fail.")
        await session.send(TTSSpeakFrame("This works."))
    assert len(session.of(TTSAudioRawFrame)) == 2 * (len(engine.segments))


async def test_text_that_is_no_text_is_reported_and_costs_nothing() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=2))
    async with running(CSMTTSService(engine=engine)) as session:
        await session.send(TTSSpeakFrame(None), TTSSpeakFrame(3))  # type: ignore[arg-type]
        await session.until(lambda: len(session.errors) == 2)
        await session.reply("This works.")
    assert [segment.text for segment in engine.segments] == ["This works."]
    assert len(session.of(TTSAudioRawFrame)) == 2


async def test_a_closed_engine_makes_the_service_unusable_so_that_another_can_take_over() -> None:
    engine = ScriptedEngine()
    service = CSMTTSService(engine=engine)
    async with running(service) as session:
        engine.close()
        await session.send(TTSSpeakFrame("Anybody there?"))
        await session.until(lambda: session.of(TTSStoppedFrame))
        assert not service.is_usable
    assert isinstance(session.errors[0].exception, EngineClosedError)


async def test_a_cut_off_utterance_is_delivered_and_the_conversation_goes_on() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=2, finish_reason="length"))
    async with running(CSMTTSService(engine=engine)) as session:
        await session.reply("One sentence. Another sentence.")
    assert len(session.of(TTSAudioRawFrame)) == 4
    assert session.errors == []


async def test_a_reply_that_its_llm_never_ended_does_not_hold_up_the_end() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=2))
    async with running(CSMTTSService(engine=engine)) as session:
        await session.send(LLMFullResponseStartFrame(), *tokens("One sentence is spoken. The other is"))
        await session.until(lambda: len(session.of(TTSAudioRawFrame)) == 2)
    assert session.of(TTSStoppedFrame)
    assert isinstance(session.down[-1], EndFrame)
