"""What can be set, when it takes effect, and what a wrong setting costs."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from pipecat.frames.frames import TTSAudioRawFrame, TTSSpeakFrame, TTSUpdateSettingsFrame
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TextAggregationMode
from pipecat.transcriptions.language import Language
from pipecat.utils.errors import ErrorCategory

from csm_plugin.errors import CheckpointNotFound, EngineBusyError, SettingsError, VoiceError
from csm_plugin.pipecat import CSMTTSService, engines, load_shared_engine
from csm_plugin.settings import Sampling
from tests.pipecat.harness import running
from tests.scripted_engine import Script, ScriptedConversation, ScriptedEngine

Settings = CSMTTSService.Settings


async def test_settings_reach_the_engine() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=1))
    service = CSMTTSService(engine=engine, settings=Settings(voice="ann", speaker=2, temperature=0.5, top_k=7, seed=3))
    async with running(service) as session:
        await session.send(TTSSpeakFrame("Hello."))
    segment = engine.segments[0]
    assert (segment.voice, segment.speaker) == ("ann", 2)
    assert segment.sampling == Sampling(temperature=0.5, top_k=7, seed=3)


async def test_settings_change_with_the_next_sentence_and_keep_the_conversation() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=1))
    service = CSMTTSService(engine=engine, settings=Settings(voice="ann", speaker=1))
    async with running(service) as session:
        before = service.conversation
        await session.send(TTSSpeakFrame("Before."))
        await session.send(TTSUpdateSettingsFrame(delta=Settings(voice="bob", temperature=0.0)))
        await session.send(TTSSpeakFrame("After."))
    assert service.conversation is before
    assert [segment.text for segment in before.segments] == ["Before.", "After."]
    assert [(s.text, s.voice, s.speaker) for s in engine.segments] == [("Before.", "ann", 1), ("After.", "bob", 1)]
    assert [s.sampling.temperature for s in engine.segments] == [Sampling().temperature, 0.0]


async def test_english_is_written_out_and_another_language_is_spoken_as_it_stands() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=2))
    service = CSMTTSService(engine=engine)
    async with running(service) as session:
        await session.send(TTSSpeakFrame("It is 3 % of $5."))
        await session.send(TTSUpdateSettingsFrame(delta=Settings(language=Language.DE_DE)))
        await session.send(TTSSpeakFrame("Es sind 3 % von 5 €."))
        await session.send(TTSUpdateSettingsFrame(delta=Settings(language="en-GB")))
        await session.send(TTSSpeakFrame("It is 3."))
    assert [segment.text for segment in engine.segments] == [
        "It is three percent of five dollars.",
        "Es sind 3 % von 5 €.",
        "It is three.",
    ]
    assert len(engine.conversations) == 1
    assert session.errors == []


WRONG: list[tuple[TTSSettings, type[Exception], str]] = [
    (Settings(voice="nobody"), VoiceError, "ann, bob"),
    (Settings(temperature=9.0), SettingsError, "from 0"),
    (Settings(top_k=0), SettingsError, "at least 1"),
    (Settings(seed=-1), SettingsError, "seed"),
    (Settings(speaker=-1), SettingsError, "speaker"),
    (Settings(speaker=100), SettingsError, "to 99"),
    (Settings(user_speaker=100), SettingsError, "to 99"),
    (Settings(speaker=3, user_speaker=3), SettingsError, "both 3"),
    (Settings(listen="no"), SettingsError, "listen"),  # type: ignore[arg-type]
    (Settings(extra={"pitch": 2}), SettingsError, "pitch"),
]


@pytest.mark.parametrize(("settings", "error", "says"), WRONG)
async def test_a_wrong_setting_is_refused_by_the_constructor(
    settings: TTSSettings, error: type[Exception], says: str
) -> None:
    engine = ScriptedEngine()
    with pytest.raises(error, match=says):
        CSMTTSService(engine=engine, settings=settings)
    assert engine.conversations == []


@pytest.mark.parametrize(("settings", "error", "says"), [*WRONG, (Settings(model="other"), SettingsError, "model")])
async def test_a_wrong_setting_at_run_time_is_reported_and_changes_nothing(
    settings: TTSSettings, error: type[Exception], says: str
) -> None:
    engine = ScriptedEngine(lambda text: Script(frames=1))
    service = CSMTTSService(engine=engine, settings=Settings(voice="ann"))
    before = service.settings.copy()
    async with running(service) as session:
        await session.send(TTSUpdateSettingsFrame(delta=settings), TTSSpeakFrame("Hello."))
        await session.until(lambda: session.of(TTSAudioRawFrame))
    assert [type(frame.exception) for frame in session.errors] == [error]
    assert says in session.errors[0].error
    assert service.settings == before
    assert engine.segments[0].voice == "ann"


async def test_a_change_that_the_engine_refuses_can_be_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ScriptedEngine(lambda text: Script(frames=1))
    service = CSMTTSService(engine=engine, settings=Settings(voice="ann"))

    def refuse(*_: object, **__: object) -> None:
        raise EngineBusyError("64 utterances of this conversation are waiting", retry_after_s=1.0)

    async with running(service) as session:
        await session.send(TTSSpeakFrame("One."))
        await session.until(lambda: engine.segments)
        with monkeypatch.context() as busy:
            busy.setattr(ScriptedConversation, "configure", refuse)
            await session.send(TTSUpdateSettingsFrame(delta=Settings(voice="bob")), TTSSpeakFrame("Two."))
            await session.until(lambda: len(engine.segments) == 2)
        assert service.settings.voice == "ann"
        await session.send(TTSUpdateSettingsFrame(delta=Settings(voice="bob")), TTSSpeakFrame("Three."))
    assert [segment.voice for segment in engine.segments] == ["ann", "ann", "bob"]
    assert [frame.category for frame in session.errors] == [ErrorCategory.RATE_LIMIT]


@pytest.mark.parametrize(
    "wrong",
    [{"sample_rate": 16_000}, {"text_aggregation_mode": TextAggregationMode.TOKEN}, {"max_ahead_s": -1.0}],
)
async def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        CSMTTSService(engine=ScriptedEngine(), **wrong)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the models that were loaded, in order; scripted engines instead of models."""
    names: list[str] = []

    class Engine:
        @staticmethod
        def load(model: str) -> ScriptedEngine:
            names.append(model)
            if model == "missing":
                raise CheckpointNotFound("no checkpoint named 'missing'")
            return ScriptedEngine(lambda text: Script(frames=2))

    module = types.ModuleType("csm_plugin.engine")
    module.Engine = Engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "csm_plugin.engine", module)
    monkeypatch.setattr(engines, "_engines", {})
    yield names


async def test_a_model_named_by_several_services_is_loaded_once(loads: list[str]) -> None:
    one, two = CSMTTSService(engine="a-model"), CSMTTSService(engine="a-model")
    async with running(one) as first, running(two) as second:
        await first.send(TTSSpeakFrame("Hello."))
        await second.send(TTSSpeakFrame("Hello."))
    assert loads == ["a-model"]
    assert one.conversation is not two.conversation
    assert len(first.of(TTSAudioRawFrame)) == len(second.of(TTSAudioRawFrame)) == 2
    assert await load_shared_engine("a-model") is await load_shared_engine("a-model")


async def test_a_model_that_failed_to_load_is_tried_again(loads: list[str]) -> None:
    for _ in range(2):
        with pytest.raises(CheckpointNotFound):
            await load_shared_engine("missing")
    assert loads == ["missing", "missing"]


async def test_a_model_that_cannot_be_loaded_makes_the_service_unusable_and_says_why(loads: list[str]) -> None:
    service = CSMTTSService(engine="missing")
    async with running(service) as session:
        await session.until(lambda: session.errors)
        await session.reply("Anybody there?")
    assert isinstance(session.errors[0].exception, CheckpointNotFound)
    assert not service.is_usable
