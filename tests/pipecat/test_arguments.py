"""What the constructor takes: what users of other services type first works, or is refused with where it belongs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.processors.metrics.frame_processor_metrics import FrameProcessorMetrics
from pipecat.services.openai.tts import OpenAITTSSettings
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TextAggregationMode, TTSService

from csm_plugin.client import RemoteEngine
from csm_plugin.engine import Engine
from csm_plugin.errors import SettingsError, VoiceError
from csm_plugin.pipecat import CSMTTSService, arguments
from tests.pipecat.harness import running
from tests.scripted_engine import Script, ScriptedEngine

Settings = CSMTTSService.Settings
OWN = {"engine", "voice", "model", "settings", "sample_rate", "max_ahead_s", "text_transforms"}
BASE: dict[str, Any] = {
    "aggregate_sentences": True,
    "append_trailing_space": True,
    "enable_direct_mode": False,
    "max_consecutive_zero_audio_contexts": 5,
    "metrics": FrameProcessorMetrics(),
    "name": "voice",
    "pause_frame_processing": False,
    "pause_watchdog_timeout_s": 1.0,
    "push_silence_after_stop": True,
    "push_start_frame": True,
    "push_stop_frames": True,
    "push_text_frames": False,
    "reuse_context_id_within_turn": True,
    "silence_time_s": 1.0,
    "skip_aggregator_types": ["code"],
    "skip_text_types": ["code"],
    "stop_frame_timeout_s": 9.0,
    "task_manager": None,
    "text_aggregation_mode": TextAggregationMode.SENTENCE,
    "text_filters": [],
    "transport_destination": "somewhere",
}


def of_the_base() -> Iterator[str]:
    """What the classes of Pipecat behind the service take by name."""
    for kind in TTSService.__mro__:
        if "__init__" in vars(kind) and kind is not object:
            parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
            yield from (one.name for one in parameters if one.kind is not one.VAR_KEYWORD and one.name != "self")


def refusal(**given: Any) -> str:
    """What the constructor says of what it refuses, in one line."""
    with pytest.raises(SettingsError) as refused:
        CSMTTSService(**({"engine": ScriptedEngine()} | given))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_every_argument_of_the_base_is_tried_here() -> None:
    assert set(of_the_base()) - OWN == set(BASE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", BASE)
async def test_an_argument_of_the_base_reaches_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: dict[str, Any] = {}
    construct = TTSService.__init__

    @functools.wraps(construct)
    def note(self: TTSService, **given: Any) -> None:
        reached.update(given)
        construct(self, **given)

    monkeypatch.setattr(TTSService, "__init__", note)
    CSMTTSService(engine=ScriptedEngine(), **{name: BASE[name]})
    assert reached[name] is BASE[name]


async def test_a_class_that_is_mixed_in_may_take_more() -> None:
    class Named:
        def __init__(self, *, badge: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.badge = badge

    class Service(Named, CSMTTSService):
        pass

    assert Service(engine=ScriptedEngine(), badge="7").badge == "7"
    with pytest.raises(SettingsError, match="nonsense"):
        Service(engine=ScriptedEngine(), badge="7", nonsense=1)


async def test_a_voice_is_spoken_with() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=1))
    async with running(CSMTTSService(engine=engine, voice="bob", settings=Settings(speaker=2))) as session:
        await session.send(TTSSpeakFrame("Hello."))
    assert [(segment.voice, segment.speaker) for segment in engine.segments] == [("bob", 2)]


async def test_a_voice_that_is_unknown_or_given_twice_is_refused() -> None:
    with pytest.raises(VoiceError, match="ann, bob"):
        CSMTTSService(engine=ScriptedEngine(), voice="nobody")
    assert "'ann'" in (said := refusal(voice="ann", settings=Settings(voice="bob"))) and "'bob'" in said
    same = CSMTTSService(engine=ScriptedEngine(), voice="bob", settings=Settings(voice="bob"))
    assert same.settings.voice == "bob"


@pytest.mark.parametrize("given", [{"model": "a-model"}, {"settings": Settings(model="a-model")}])
async def test_a_model_is_loaded_as_by_engine(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("csm_plugin.pipecat.conversing.shared_engine", asked.append)
    CSMTTSService(**given)
    assert asked == ["a-model"]


@pytest.mark.parametrize("given", [{"model": "scripted"}, {"settings": Settings(model="scripted")}])
async def test_the_model_of_an_engine_may_be_named(given: dict[str, Any]) -> None:
    assert CSMTTSService(engine=ScriptedEngine(), **given).settings.model == "scripted"


@pytest.mark.parametrize("given", [{"model": "other"}, {"settings": Settings(model="other")}])
async def test_another_model_than_the_engines_is_refused(given: dict[str, Any]) -> None:
    said = refusal(**given)
    assert "'other'" in said and "'scripted'" in said and "Engine.load" in said


async def test_without_engine_and_model_it_says_what_to_give() -> None:
    assert "engine=Engine.load('csm-tiny')" in refusal(engine=None)


@pytest.mark.parametrize("settings", [{"voice": "ann"}, "ann", 3])
async def test_settings_of_another_kind_are_refused(settings: Any) -> None:
    assert "CSMTTSService.Settings(" in refusal(settings=settings)


async def test_settings_of_other_services_are_taken_as_far_as_they_are_known_here() -> None:
    assert CSMTTSService(engine=ScriptedEngine(), settings=TTSSettings(voice="ann")).settings.voice == "ann"
    assert "speed" in refusal(settings=OpenAITTSSettings(voice="ann", speed=1.2))
    assert "did you mean temperature?" in refusal(settings=Settings(extra={"temprature": 0.5}))


@pytest.mark.parametrize("name", sorted({one.name for one in fields(Settings)} - {"voice", "model", "extra"}))
async def test_a_setting_belongs_in_the_settings(name: str) -> None:
    assert f"settings=CSMTTSService.Settings({name}=…)" in refusal(**{name: 1})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("voice_id", "voice="),
        ("params", "settings=CSMTTSService.Settings("),
        ("api_key", "RemoteEngine("),
        ("base_url", "RemoteEngine("),
        ("url", "RemoteEngine("),
        ("device", "Engine.load("),
        ("speed", "/v1/audio/speech"),
        ("instructions", "follows none"),
    ],
)
async def test_what_is_known_of_other_services_is_refused_with_where_it_belongs(name: str, says: str) -> None:
    said = refusal(**{name: "secret"})
    assert said.startswith(f"CSMTTSService takes no {name}: ") and says in said
    assert "secret" not in said


async def test_what_belongs_to_an_engine_is_what_engines_take() -> None:
    def taken(by: Any) -> set[str]:
        return {name for name in inspect.signature(by).parameters if name not in ("self", "model")}

    assert {name for name, told in arguments.BELONGS.items() if "Engine.load" in told} == taken(Engine.load)
    remote = {name for name, told in arguments.BELONGS.items() if "RemoteEngine" in told}
    assert remote == taken(RemoteEngine) | {"base_url"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("voices", "voice"),
        ("max_ahead", "max_ahead_s"),
        ("text_transform", "text_transforms"),
        ("stop_frame_timeout", "stop_frame_timeout_s"),
        ("speaker_id", "speaker"),
    ],
)
async def test_a_near_miss_is_told(name: str, meant: str) -> None:
    assert f"did you mean {meant}" in refusal(**{name: 1})


async def test_an_unknown_name_is_refused_with_what_is_allowed() -> None:
    said = refusal(nonsense=1, rubbish=2)
    assert said.startswith("CSMTTSService takes no nonsense, rubbish")
    assert all(name in said for name in OWN)
    assert "TTSService" in said
