"""What Pipecat's own tests assert of its text-to-speech services holds for this one.

The scenarios are those of Pipecat 1.14's `tests/test_tts_frame_ordering.py`, `test_tts_zero_audio_contexts.py` and the
tests of its local services, with a scripted engine in place of their mock services.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    AggregatedTextProgressFrame,
    ControlFrame,
    DataFrame,
    Frame,
    InterruptionFrame,
    LLMAssistantPushAggregationFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.services.tts_service import TTSService
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.utils.string import TextPartForConcatenation, concatenate_aggregated_text
from pipecat.utils.text.pattern_pair_aggregator import MatchAction, PatternPairAggregator

from csm_plugin.audio.pcm import to_int16
from csm_plugin.errors import GenerationError
from csm_plugin.pipecat import CSMTTSService
from tests.pipecat.harness import samples
from tests.scripted_engine import Script, ScriptedEngine

F = TypeVar("F", bound=Frame)


@dataclass
class Marker(DataFrame):
    """Shows how far downstream processing has got."""

    label: str = ""


@dataclass
class UninterruptibleMarker(ControlFrame):
    """A marker that survives an interruption."""

    interruptible: bool = field(default=False, init=False)


def service(script: Script | None = None) -> CSMTTSService:
    return CSMTTSService(engine=ScriptedEngine(lambda text: script or Script(frames=4, frames_per_chunk=2)))


async def through(tts: TTSService, *frames: Frame) -> Sequence[Frame]:
    """What comes out downstream."""
    down, _ = await asyncio.wait_for(run_test(tts, frames_to_send=list(frames)), 60)
    return down


def of(frames: Sequence[Frame], kind: type[F]) -> list[F]:
    return [frame for frame in frames if isinstance(frame, kind)]


def kinds(frames: Sequence[Frame], *among: type[Frame]) -> list[type[Frame]]:
    return [type(frame) for frame in frames if type(frame) in among]


async def test_each_speech_comes_in_order_and_whole_before_the_frame_behind_it() -> None:
    down = await through(
        service(),
        TTSSpeakFrame("test one", append_to_context=False),
        Marker(label="1"),
        TTSSpeakFrame("test two", append_to_context=False),
        Marker(label="2"),
    )
    group = [AggregatedTextFrame, TTSStartedFrame, TTSAudioRawFrame, TTSTextFrame, TTSStoppedFrame, Marker]
    relevant = [frame for frame in down if type(frame) in group]
    ends = [index for index, frame in enumerate(relevant) if isinstance(frame, Marker)]
    assert [relevant[end].label for end in ends] == ["1", "2"]  # type: ignore[attr-defined]
    for part in (relevant[: ends[0] + 1], relevant[ends[0] + 1 : ends[1] + 1]):
        types = [type(frame) for frame in part]
        assert types[0] is AggregatedTextFrame and types[1] is TTSStartedFrame
        assert types[-2:] == [TTSStoppedFrame, Marker]
        assert set(types[2:-2]) == {TTSAudioRawFrame, TTSTextFrame}


async def test_samples_are_exact_and_at_the_services_rate() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=4))
    tts = CSMTTSService(engine=engine)
    down = await through(tts, TTSSpeakFrame("Hello world."))
    assert {frame.sample_rate for frame in of(down, TTSAudioRawFrame)} == {24_000}
    np.testing.assert_array_equal(samples(down), to_int16(engine.segments[0].pcm))


async def test_a_response_ends_after_all_of_its_text() -> None:
    down = await through(
        service(),
        LLMFullResponseStartFrame(),
        TextFrame("Hello there. "),
        TextFrame("How are you?"),
        LLMFullResponseEndFrame(),
    )
    order = [type(f) for f in down if isinstance(f, LLMFullResponseStartFrame | TTSTextFrame | LLMFullResponseEndFrame)]
    assert order == [LLMFullResponseStartFrame, *[TTSTextFrame] * 5, LLMFullResponseEndFrame]
    (end,) = of(down, LLMFullResponseEndFrame)
    assert end.pts == max(frame.pts or 0 for frame in of(down, TTSTextFrame))


async def test_the_second_response_does_not_begin_before_the_first_one_ended() -> None:
    response = [LLMFullResponseStartFrame, TTSStoppedFrame, LLMFullResponseEndFrame]
    down = await through(
        service(Script(frames=2, frame_delay_s=0.01)),
        LLMFullResponseStartFrame(),
        TextFrame("Hello there."),
        LLMFullResponseEndFrame(),
        LLMFullResponseStartFrame(),
        TextFrame("World."),
        LLMFullResponseEndFrame(),
    )
    assert kinds(down, *response) == response + response


async def test_words_are_verbatim_in_order_of_their_times_and_join_to_the_text() -> None:
    text = "Well, hello: this is the text; is it not?"
    down = await through(service(Script(frames=30)), TTSSpeakFrame(text, append_to_context=False))
    words = of(down, TTSTextFrame)
    assert [word.text for word in words] == text.split()
    times = [word.pts or 0 for word in words]
    assert times == sorted(times) and times[0] > 0
    parts = [TextPartForConcatenation(w.raw_text or w.text, w.includes_inter_frame_spaces) for w in words]
    assert concatenate_aggregated_text(parts) == text


async def test_the_context_gets_the_text_as_the_llm_wrote_it() -> None:
    text = 'It is **5:30pm**, and Dr. Who says "$42.50 (or 3%)"!'
    down = await through(service(Script(frames=60)), TTSSpeakFrame(text))
    recorded = [word.raw_text or word.text for word in of(down, TTSTextFrame) if word.append_to_context]
    assert " ".join(recorded) == text


async def test_an_announcement_does_not_come_after_the_progress_that_refers_to_it() -> None:
    down = await through(
        service(),
        TTSSpeakFrame("Comment ca va", append_to_context=False),
        TTSSpeakFrame("Bom jour", append_to_context=False),
    )
    anchors = [frame for frame in down if type(frame) is AggregatedTextFrame and frame.will_be_spoken]
    assert len(anchors) == 2
    for anchor in anchors:
        progress = [f.pts for f in of(down, AggregatedTextProgressFrame) if f.segment_id == anchor.id]
        assert anchor.pts is not None and progress
        assert anchor.pts <= min(pts or 0 for pts in progress)


async def test_the_commit_of_a_speech_comes_after_its_last_word() -> None:
    down = await through(service(), TTSSpeakFrame("hello world", append_to_context=True))
    (push,) = of(down, LLMAssistantPushAggregationFrame)
    assert (push.pts or 0) > max(frame.pts or 0 for frame in of(down, TTSTextFrame))
    assert not of(
        await through(service(), TTSSpeakFrame("hello world", append_to_context=False)),
        LLMAssistantPushAggregationFrame,
    )


@pytest.mark.parametrize("append_to_context", [True, False])
async def test_whether_it_is_recorded_is_stamped_on_what_is_spoken(append_to_context: bool) -> None:
    down = await through(service(), TTSSpeakFrame("hello world", append_to_context=append_to_context))
    (started,) = of(down, TTSStartedFrame)
    assert started.append_to_context is append_to_context
    assert {frame.append_to_context for frame in of(down, TTSTextFrame)} == {append_to_context}


@pytest.mark.parametrize("uninterruptible", [True, False])
async def test_an_interruption_before_any_sound_does_not_block_what_follows(uninterruptible: bool) -> None:
    down = await through(
        service(Script(frames=5, frame_delay_s=5.0)),
        LLMFullResponseStartFrame(),
        TextFrame("Hello."),
        LLMFullResponseEndFrame(),
        *([UninterruptibleMarker()] if uninterruptible else []),
        SleepFrame(sleep=0.1),
        InterruptionFrame(),
        SleepFrame(sleep=0.1),
        Marker(label="after"),
    )
    assert [frame.label for frame in of(down, Marker)] == ["after"]
    assert len(of(down, UninterruptibleMarker)) == uninterruptible


async def test_an_interruption_drops_the_frames_that_wait_but_for_uninterruptible_ones() -> None:
    down = await through(
        service(Script(frames=5, frame_delay_s=5.0)),
        TTSSpeakFrame("hello", append_to_context=False),
        SleepFrame(sleep=0.05),
        Marker(label="dropped"),
        UninterruptibleMarker(),
        SleepFrame(sleep=0.05),
        InterruptionFrame(),
        SleepFrame(sleep=0.1),
    )
    assert of(down, Marker) == []
    assert len(of(down, UninterruptibleMarker)) == 1


async def test_a_speech_without_sound_does_not_block_what_follows() -> None:
    fault = Script(frames=5, fault=GenerationError("the model gave no finite logits"), fault_after=0)
    down = await through(service(fault), TTSSpeakFrame("hello", append_to_context=False), Marker(label="after"))
    assert [frame.label for frame in of(down, Marker)] == ["after"]


async def test_text_that_is_not_to_be_spoken_waits_for_the_words_before_it() -> None:
    aggregator = PatternPairAggregator()
    aggregator.add_pattern(type="code", start_pattern="<code>", end_pattern="</code>", action=MatchAction.AGGREGATE)
    tts = CSMTTSService(
        engine=ScriptedEngine(lambda text: Script(frames=4)), skip_text_types=["code"], max_ahead_s=60.0
    )
    tts._text_aggregator = aggregator
    down = await through(
        tts,
        LLMFullResponseStartFrame(),
        TextFrame("Look here. <code>x = 1</code> That was it."),
        LLMFullResponseEndFrame(),
    )
    told = [f for f in down if isinstance(f, AggregatedTextFrame) and f.append_to_context]
    assert [frame.raw_text or frame.text for frame in told] == [
        "Look", "here.", "<code>x = 1</code>", "That", "was", "it.",
    ]  # fmt: skip
