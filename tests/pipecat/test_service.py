"""Text in, sound out: what a pipeline gets from the service."""

from __future__ import annotations

import numpy as np
import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    AggregatedTextProgressFrame,
    ErrorFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData, TTSUsageMetricsData
from pipecat.pipeline.worker import PipelineParams
from pipecat.processors.aggregators.llm_text_processor import LLMTextProcessor
from pipecat.tests.utils import run_test

from csm_plugin.audio.pcm import to_int16
from csm_plugin.pipecat import CSMTTSService, SpeechTextAggregator
from csm_plugin.settings import FRAME_SAMPLES
from csm_plugin.text.sentences import MAX_PIECE_CHARACTERS
from tests.pipecat.harness import running, samples, tokens
from tests.scripted_engine import Script, ScriptedEngine

REPLY = "Well, that is a good question, and I have an answer. The second sentence is here. And a third!"


async def test_streamed_text_comes_out_as_the_engines_samples_in_order() -> None:
    engine = ScriptedEngine()
    async with running(CSMTTSService(engine=engine)) as session:
        await session.reply(REPLY)
    assert len(engine.segments) >= 3
    assert " ".join(segment.text for segment in engine.segments) == REPLY
    expected = np.concatenate([to_int16(segment.pcm) for segment in engine.segments])
    np.testing.assert_array_equal(samples(session.down), expected)


async def test_the_first_clause_is_spoken_before_the_sentence_is_complete() -> None:
    engine = ScriptedEngine()
    async with running(CSMTTSService(engine=engine)) as session:
        await session.send(LLMFullResponseStartFrame(), *tokens("That is a good question, and the ans"))
        await session.until(lambda: session.of(TTSAudioRawFrame))
        assert engine.segments[0].text == "That is a good question,"


async def test_frames_come_in_the_order_that_pipecat_asks_of_its_services() -> None:
    down, _ = await run_test(
        CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=2))),
        frames_to_send=[TTSSpeakFrame("Hello there.", append_to_context=False)],
        expected_down_frames=[
            AggregatedTextFrame,
            TTSStartedFrame,
            TTSAudioRawFrame,
            TTSTextFrame,
            AggregatedTextProgressFrame,
            TTSAudioRawFrame,
            TTSTextFrame,
            AggregatedTextProgressFrame,
            TTSStoppedFrame,
        ],
    )
    contexts = {frame.context_id for frame in down}
    assert len(contexts) == 1 and None not in contexts
    assert [frame.text for frame in down if isinstance(frame, TTSTextFrame)] == ["Hello", "there."]


async def test_a_reply_is_one_audio_context_that_ends_after_all_text() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=3, frames_per_chunk=3))
    async with running(CSMTTSService(engine=engine)) as session:
        await session.reply(REPLY)
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
    kinds = [type(frame) for frame in session.down]
    inside = session.down[kinds.index(TTSStartedFrame) : kinds.index(TTSStoppedFrame) + 1]
    assert kinds.count(TTSStartedFrame) == kinds.count(TTSStoppedFrame) == 1
    assert {type(frame) for frame in inside} == {
        TTSStartedFrame,
        TTSAudioRawFrame,
        TTSTextFrame,
        AggregatedTextFrame,
        AggregatedTextProgressFrame,
        TTSStoppedFrame,
    }
    assert len({frame.context_id for frame in inside}) == 1
    assert kinds.index(LLMFullResponseEndFrame) > kinds.index(TTSStoppedFrame)
    assert " ".join(frame.text for frame in session.of(TTSTextFrame)) == REPLY


async def test_audio_frames_hold_80_ms_whatever_the_engines_chunks_hold() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=7, frames_per_chunk=3))
    async with running(CSMTTSService(engine=engine)) as session:
        await session.send(TTSSpeakFrame("Seven frames."))
    frames = session.of(TTSAudioRawFrame)
    assert [frame.num_frames for frame in frames] == [FRAME_SAMPLES] * 7
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(24_000, 1)}


async def test_a_long_speak_frame_is_spoken_sentence_by_sentence() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=1))
    async with running(CSMTTSService(engine=engine)) as session:
        await session.send(TTSSpeakFrame("One is here. Two is here. Three is here."))
    assert [segment.text for segment in engine.segments] == ["One is here.", "Two is here.", "Three is here."]


async def test_a_text_of_any_length_is_spoken_in_pieces() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=1))
    text = "and so it goes on " * 300
    async with running(CSMTTSService(engine=engine)) as session:
        await session.send(TTSSpeakFrame(text))
    spoken = [segment.text for segment in engine.segments]
    assert " ".join(spoken) == text.strip()
    assert max(map(len, spoken)) <= MAX_PIECE_CHARACTERS
    assert len(session.of(TTSAudioRawFrame)) == len(spoken)


async def test_run_tts_gives_the_audio_to_whoever_drives_it_directly() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=2))
    service = CSMTTSService(engine=engine)
    frames = [frame async for frame in service.run_tts("Hello there.", "a-context")]
    np.testing.assert_array_equal(samples(frames), to_int16(engine.segments[0].pcm))
    assert {frame.context_id for frame in frames} == {"a-context"}


async def test_the_aggregator_also_works_upstream_of_the_service() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=1))
    processor = LLMTextProcessor(text_aggregator=SpeechTextAggregator())
    async with running(processor, CSMTTSService(engine=engine)) as session:
        await session.reply(REPLY)
    assert " ".join(segment.text for segment in engine.segments) == REPLY
    assert len(engine.segments) >= 4


@pytest.mark.parametrize("text", ["...", "?!", "\N{GRINNING FACE}", "   ", "* \n* "])
async def test_unspeakable_text_is_skipped_without_an_error(text: str) -> None:
    engine = ScriptedEngine(lambda text: Script(frames=1))
    service = CSMTTSService(engine=engine)
    async with running(service) as session:
        for _ in range(4):
            await session.send(TTSSpeakFrame(text))
        await session.reply("Hello. " + text + " Goodbye.")
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
    assert engine.segments[0].text == "Hello."
    assert session.errors == []
    assert service.is_usable
    assert len(session.of(TTSStartedFrame)) == 1


async def test_time_to_first_byte_and_characters_are_measured() -> None:
    params = PipelineParams(enable_metrics=True, enable_usage_metrics=True)
    async with running(CSMTTSService(engine=ScriptedEngine()), params=params) as session:
        await session.send(TTSSpeakFrame("Hello there."))
    metrics = [data for frame in session.of(MetricsFrame) for data in frame.data]
    assert [data.value for data in metrics if isinstance(data, TTSUsageMetricsData)] == [len("Hello there.")]
    times = [data for data in metrics if isinstance(data, TTFBMetricsData) and data.value > 0]
    assert len(times) == 1
    assert times[0].model == "scripted"


async def test_two_services_share_one_engine_and_keep_their_own_conversations() -> None:
    engine = ScriptedEngine()
    one, two = CSMTTSService(engine=engine), CSMTTSService(engine=engine)
    async with running(one) as first, running(two) as second:
        await first.send(TTSSpeakFrame("The first one speaks."))
        await second.send(TTSSpeakFrame("The second one speaks."))
    assert [segment.text for segment in one.conversation.segments] == ["The first one speaks."]
    assert [segment.text for segment in two.conversation.segments] == ["The second one speaks."]
    np.testing.assert_array_equal(samples(first.down), to_int16(engine.segments[0].pcm))
    np.testing.assert_array_equal(samples(second.down), to_int16(engine.segments[1].pcm))


async def test_the_conversation_ends_with_the_pipeline_and_the_engine_goes_on() -> None:
    engine = ScriptedEngine()
    async with running(CSMTTSService(engine=engine)) as session:
        await session.send(TTSSpeakFrame("Hello there."))
    assert [talk.closed for talk in engine.conversations] == [True]
    assert not engine.closed
    assert not [frame for frame in session.up if isinstance(frame, ErrorFrame)]
