"""What LiveKit's own tests ask of every text-to-speech plugin, re-written for ours."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APIStatusError, APITimeoutError, tokenize
from livekit.agents import tts as base

from csm_plugin.audio.pcm import to_int16
from csm_plugin.errors import (
    CheckpointNotFound,
    ContextFullError,
    CSMError,
    EngineBusyError,
    EngineClosedError,
    EngineUnreachableError,
    GenerationError,
    ReaderStalledError,
    VoiceError,
)
from csm_plugin.livekit import TTS
from tests.livekit_plugin.collecting import QUICK, Reports, collect, pcm, say, until, words
from tests.scripted_engine import Script, ScriptedEngine

pytestmark = pytest.mark.usefixtures("nothing_left")

TEXT = "Hello there, this is a voice. It speaks a second sentence, and it costs $5!"


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def tts(engine: ScriptedEngine) -> TTS:
    return TTS(engine=engine)


class TestAChunkedStream:
    async def test_has_one_request_id_and_only_its_last_event_is_final(self, tts: TTS) -> None:
        async with tts.synthesize(TEXT) as stream:
            events = await collect(stream)
        assert len({event.request_id for event in events}) == 1 and events[0].request_id
        assert [event.is_final for event in events] == [False] * (len(events) - 1) + [True]

    async def test_gives_exactly_the_engines_samples(self, tts: TTS, engine: ScriptedEngine) -> None:
        async with tts.synthesize(TEXT) as stream:
            events = await collect(stream)
        made = np.concatenate([segment.pcm for segment in engine.segments])
        assert np.array_equal(pcm(events), to_int16(made))
        assert [segment.text for segment in engine.segments] == [
            "Hello there, this is a voice.",
            "It speaks a second sentence, and it costs five dollars!",
        ]

    async def test_reports_one_set_of_metrics_and_no_error(self, tts: TTS) -> None:
        reports = Reports.of(tts)
        async with tts.synthesize(TEXT) as stream:
            events = await collect(stream)
        (metrics,) = reports.metrics
        assert (metrics.request_id, metrics.characters_count) == (events[0].request_id, len(TEXT))
        assert metrics.audio_duration == pytest.approx(len(pcm(events)) / 24_000) and not metrics.streamed
        assert 0 <= metrics.ttfb <= metrics.duration and not metrics.cancelled and not reports.errors
        assert metrics.metadata is not None and metrics.metadata.model_name == "scripted"

    async def test_collects_into_one_frame(self, tts: TTS) -> None:
        async with tts.synthesize(TEXT) as stream:
            frame = await stream.collect()
        assert (frame.sample_rate, frame.num_channels) == (24_000, 1) and frame.duration > 1

    async def test_that_failed_once_it_had_begun_is_not_begun_again(self) -> None:
        engine = ScriptedEngine(lambda text: Script(fault=GenerationError("broken"), fault_after=2))
        tts = TTS(engine=engine)
        reports = Reports.of(tts)
        with pytest.raises(APIStatusError):
            async with tts.synthesize("Hello.", conn_options=QUICK) as stream:
                await collect(stream)
        assert len(engine.segments) == 1 and [error.recoverable for error in reports.errors] == [False]


class TestAStream:
    async def test_has_one_request_and_one_segment_and_only_its_last_event_is_final(self, tts: TTS) -> None:
        events = await say(tts, *TEXT.split(" "))
        assert len({(event.request_id, event.segment_id) for event in events}) == 1
        assert events[0].request_id and events[0].segment_id
        assert [event.is_final for event in events] == [False] * (len(events) - 1) + [True]

    async def test_has_frames_below_250_ms(self, engine: ScriptedEngine) -> None:
        engine.script = lambda text: Script(frames_per_chunk=8)
        events = await say(TTS(engine=engine), TEXT)
        assert max(event.frame.duration for event in events) < 0.25
        assert all(event.frame.sample_rate == 24_000 and event.frame.num_channels == 1 for event in events)

    async def test_reports_one_set_of_metrics(self, tts: TTS) -> None:
        reports = Reports.of(tts)
        events = await say(tts, TEXT)
        (metrics,) = reports.metrics
        assert metrics.streamed and metrics.characters_count == len(TEXT)
        assert (metrics.request_id, metrics.segment_id) == (events[0].request_id, events[0].segment_id)
        assert metrics.audio_duration == pytest.approx(len(pcm(events)) / 24_000)
        assert 0 <= metrics.ttfb <= metrics.duration and not reports.errors

    async def test_without_text_ends_without_sound_metrics_or_error(self, tts: TTS, engine: ScriptedEngine) -> None:
        reports = Reports.of(tts)
        assert await say(tts) == [] and await say(tts, "  \n") == []
        assert not reports.metrics and not reports.errors and not engine.conversations

    @pytest.mark.parametrize("text", ["...", "😀", " *** ", "?!"])
    async def test_without_anything_to_speak_is_a_short_silence(self, tts: TTS, text: str) -> None:
        reports = Reports.of(tts)
        events = await say(tts, text)
        assert len(pcm(events)) == 1_920 and not pcm(events).any() and not reports.errors
        assert "".join(words(events)).strip() == text.strip()

    async def test_speaks_the_first_clause_before_its_sentence_is_complete(
        self, tts: TTS, engine: ScriptedEngine
    ) -> None:
        async with tts.stream() as stream:
            stream.push_text("Well, let me think about that, be")
            first = await anext(stream)
            assert engine.segments[0].text == "Well, let me think about that," and first.frame.duration <= 0.08
            stream.push_text("cause it is hard.")
            stream.end_input()
            await collect(stream)
        assert [segment.text for segment in engine.segments][1:] == ["because it is hard."]

    async def test_ends_its_segment_at_a_flush(self, tts: TTS) -> None:
        reports = Reports.of(tts)
        async with tts.stream() as stream:
            stream.push_text("One sentence.")
            stream.flush()
            async with asyncio.timeout(5):
                while not (await anext(stream)).is_final:
                    pass
            stream.end_input()
            assert await collect(stream) == [] and len(reports.metrics) == 1

    async def test_waits_for_a_slow_writer_as_long_as_it_takes(self, tts: TTS) -> None:
        async with tts.stream(conn_options=QUICK) as stream:
            stream.push_text("Well, let me think about that, i")
            await anext(stream)
            await asyncio.sleep(2 * QUICK.timeout)
            stream.push_text("t is hard.")
            stream.end_input()
            assert (await collect(stream))[-1].is_final

    async def test_gives_the_written_words_with_their_times(self, tts: TTS, engine: ScriptedEngine) -> None:
        events = await say(tts, TEXT)
        timed = words(events)
        assert "".join(timed) == TEXT
        ends = np.cumsum([segment.seconds for segment in engine.segments])
        assert [str(word) for word in timed][5:7] == [" voice.", " It"]
        starts = [word.start_time for word in timed]
        assert starts == sorted(starts) and timed[6].start_time == pytest.approx(ends[0])
        assert timed[-1].end_time == pytest.approx(ends[-1])
        five = timed[[str(word) for word in timed].index(" $5!")]
        assert five.end_time - five.start_time > 0.5  # "five dollars!"

    async def test_runs_ahead_of_real_time_only_so_far(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine, max_ahead_s=1.0)
        async with tts.stream() as stream:
            stream.push_text("a" * 60)
            stream.end_input()
            await anext(stream)
            await asyncio.sleep(0.3)
            assert 10 <= engine.frames_stepped <= 24

    async def test_runs_no_further_ahead_after_a_slow_writer(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine, max_ahead_s=1.0)
        async with tts.stream() as stream:
            stream.push_text("Well, let me think about that, i")
            await asyncio.sleep(20)
            spoken = engine.frames_stepped
            assert spoken == len("Well, let me think about that,")
            stream.push_text("t" * 60)
            stream.end_input()
            await asyncio.sleep(0.3)
            assert 10 <= engine.frames_stepped - spoken <= 24


class TestAFailure:
    @pytest.mark.parametrize("streamed", [True, False])
    async def test_a_hang_is_a_timeout_at_the_time_and_four_attempts(self, streamed: bool) -> None:
        engine = ScriptedEngine(lambda text: Script(frame_delay_s=60))
        tts = TTS(engine=engine)
        reports = Reports.of(tts)
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(APITimeoutError):
            if streamed:
                await say(tts, TEXT)
            else:
                async with tts.synthesize(TEXT, conn_options=QUICK) as stream:
                    await collect(stream)
        lasted_s = asyncio.get_running_loop().time() - began_s
        assert [error.recoverable for error in reports.errors] == [True, True, True, False] and not reports.metrics
        assert all(isinstance(error.error, APITimeoutError) for error in reports.errors)
        assert len(engine.segments) == 4 and not engine.live
        assert lasted_s == pytest.approx(4 * QUICK.timeout + 0.1 + 2 * QUICK.retry_interval)

    async def test_a_hang_after_the_first_sound_is_told_at_once(self) -> None:
        engine = ScriptedEngine(lambda text: Script(fault=TimeoutError(), fault_after=3))
        tts = TTS(engine=engine)
        reports = Reports.of(tts)
        with pytest.raises(APITimeoutError):
            await say(tts, TEXT)
        assert len(reports.errors) == 1 and len(engine.segments) == 1

    async def test_it_is_tried_again_only_before_the_first_sound(self) -> None:
        failing = iter([True, True, False])
        engine = ScriptedEngine(
            lambda text: Script(fault=GenerationError("broken")) if next(failing, False) else Script()
        )
        tts = TTS(engine=engine)
        reports = Reports.of(tts)
        events = await say(tts, "Hello there.")
        assert len(engine.segments) == 3 and [error.recoverable for error in reports.errors] == [True, True]
        assert len({event.request_id for event in events}) == 1 and len(reports.metrics) == 1
        assert "".join(words(events)) == "Hello there."

        engine.script = lambda text: Script(fault=GenerationError("broken"), fault_after=2)
        with pytest.raises(APIStatusError):
            await say(tts, "Hello there.")
        assert len(engine.segments) == 4 and not reports.errors[-1].recoverable

    @pytest.mark.parametrize(
        ("raised", "kind", "status", "retryable"),
        [
            (EngineBusyError("busy", 1.5), APIStatusError, 503, True),
            (GenerationError("broken"), APIStatusError, 500, True),
            (EngineUnreachableError("no server"), APIConnectionError, None, True),
            (ReaderStalledError("read too late"), APIStatusError, 408, True),
            (VoiceError("no such voice"), APIStatusError, 404, False),
            (ContextFullError("too long"), APIStatusError, 422, False),
            (EngineClosedError("closed"), APIConnectionError, None, False),
            (ConnectionRefusedError(111, "refused"), APIConnectionError, None, True),
            (CheckpointNotFound("no such model"), APIConnectionError, None, False),
            (CSMError("other"), APIError, None, False),
            (RuntimeError("a bug"), APIError, None, False),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
    )
    async def test_it_has_livekits_type(
        self, raised: Exception, kind: type[APIError], status: int | None, retryable: bool
    ) -> None:
        engine = ScriptedEngine(lambda text: Script(refusal=raised))
        tts = TTS(engine=engine)
        reports = Reports.of(tts)
        with pytest.raises(kind) as told:
            await say(tts, "Hello.")
        assert type(told.value) is kind and told.value.retryable is retryable
        assert getattr(told.value, "status_code", None) == status
        assert told.value.__cause__ is raised
        assert len(reports.errors) == (4 if retryable else 1)

    @pytest.mark.parametrize("streamed", [True, False])
    async def test_text_that_gives_no_sound_is_one_and_tried_again(self, streamed: bool) -> None:
        engine = ScriptedEngine(lambda text: Script(frames=0))
        tts = TTS(engine=engine)
        reports = Reports.of(tts)
        with pytest.raises(APIError, match="no audio frames"):
            if streamed:
                await say(tts, TEXT)
            else:
                async with tts.synthesize(TEXT, conn_options=QUICK) as stream:
                    await collect(stream)
        assert [error.recoverable for error in reports.errors] == [True, True, True, False] and not reports.metrics

        engine.script = lambda text: Script()
        assert pcm(await say(tts, TEXT)).any()

    async def test_a_sentence_that_gives_no_sound_counts_as_not_said(self) -> None:
        engine = ScriptedEngine(lambda text: Script(frames=0 if text == "Two." else None))
        events = await say(TTS(engine=engine), "One. Two. Three.")
        assert "".join(words(events)) == "One. Three."

    async def test_of_weights_names_the_command_that_fetches_them(self) -> None:
        tts = TTS(engine=ScriptedEngine(lambda text: Script(refusal=CheckpointNotFound("no such model"))))
        with pytest.raises(APIConnectionError, match=r"python -m livekit\.agents download-files"):
            await say(tts, "Hello.")

    async def test_an_unknown_voice_is_told_without_another_attempt(self) -> None:
        tts = TTS(engine=ScriptedEngine(), voice="nobody")
        reports = Reports.of(tts)
        with pytest.raises(APIStatusError) as told:
            await say(tts, "Hello.")
        assert told.value.status_code == 404 and len(reports.errors) == 1


class TestLeaving:
    @pytest.mark.parametrize("streamed", [True, False])
    async def test_stops_the_engine_without_waiting_for_it(self, streamed: bool) -> None:
        engine = ScriptedEngine(lambda text: Script(frame_delay_s=0.01))
        tts = TTS(engine=engine)
        reports = Reports.of(tts)
        stream = tts.stream() if streamed else tts.synthesize("This is a long sentence.")
        if isinstance(stream, base.SynthesizeStream):
            stream.push_text("This is a long sentence. And another.")
        await anext(stream)
        began_s = asyncio.get_running_loop().time()
        await stream.aclose()
        assert asyncio.get_running_loop().time() == began_s
        assert not engine.live and all(talk.closed for talk in engine.conversations)
        stepped = engine.frames_stepped
        await asyncio.sleep(0.05)
        assert engine.frames_stepped == stepped and not reports.errors

    async def test_before_the_engine_is_there_stops_too(self) -> None:
        tts = TTS(engine=ScriptedEngine(lambda text: Script(frame_delay_s=60)))
        stream = tts.stream()
        stream.push_text("Hello there. ")
        await asyncio.sleep(0.05)
        await stream.aclose()

    async def test_closing_the_tts_ends_its_streams(self) -> None:
        engine = ScriptedEngine(lambda text: Script(frame_delay_s=0.01))
        tts = TTS(engine=engine)
        stream = tts.stream()
        stream.push_text("This is a long sentence. ")
        await anext(stream)
        await tts.aclose()
        assert not engine.live and not engine.closed


class TestUpstreamsAdapters:
    async def test_a_stream_adapter_speaks_sentence_by_sentence(self, tts: TTS, engine: ScriptedEngine) -> None:
        adapter = base.StreamAdapter(tts=tts, sentence_tokenizer=tokenize.basic.SentenceTokenizer())
        async with adapter.stream() as stream:
            stream.push_text(TEXT)
            stream.end_input()
            events = await collect(stream)
        made = np.concatenate([segment.pcm for segment in engine.segments])
        assert np.array_equal(pcm(events)[: len(made)], to_int16(made)) and events[-1].is_final
        await adapter.aclose()

    async def test_a_fallback_adapter_takes_over_before_the_first_sound_and_comes_back(self) -> None:
        broken = ScriptedEngine(lambda text: Script(fault=GenerationError("broken")))
        sound = ScriptedEngine()
        first, second = TTS(engine=broken), TTS(engine=sound)
        adapter = base.FallbackAdapter([first, second], max_retry_per_tts=0)
        changes: list[bool] = []
        adapter.on("tts_availability_changed", lambda event: changes.append(event.available))
        async with adapter.stream() as stream:
            stream.push_text("Hello there.")
            stream.end_input()
            events = await collect(stream)
        assert "".join(words(events)) == "Hello there."
        assert np.array_equal(pcm(events), to_int16(sound.segments[0].pcm))
        assert changes == [False] and adapter.metrics_metadata is second.metrics_metadata

        broken.script = lambda text: Script()
        async with adapter.stream() as stream:
            stream.push_text("And again.")
            stream.end_input()
            await collect(stream)
        await until(lambda: changes == [False, True])
        await adapter.aclose()

    async def test_a_fallback_adapter_of_several_keeps_the_words_of_the_first(self, tts: TTS) -> None:
        adapter = base.FallbackAdapter([tts, TTS(engine=ScriptedEngine())])
        assert adapter.capabilities.aligned_transcript and adapter.sample_rate == 24_000
        async with adapter.stream(conn_options=APIConnectOptions(max_retry=0)) as stream:
            stream.push_text(TEXT)
            stream.end_input()
            events = await collect(stream)
        assert "".join(words(events)) == TEXT
        await adapter.aclose()

    async def test_a_fallback_adapter_takes_over_where_text_gives_no_sound(self) -> None:
        mute, sound = ScriptedEngine(lambda text: Script(frames=0)), ScriptedEngine()
        adapter = base.FallbackAdapter([TTS(engine=mute), TTS(engine=sound)], max_retry_per_tts=0)
        async with adapter.stream() as stream:
            stream.push_text("Hello there.")
            stream.end_input()
            events = await collect(stream)
        assert np.array_equal(pcm(events), to_int16(sound.segments[0].pcm))
        await adapter.aclose()
