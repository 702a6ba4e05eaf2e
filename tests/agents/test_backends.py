"""`TTS_BACKEND` says who speaks; where CSM cannot, Edge TTS does, by its own package and a service on this machine."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pipecat.frames.frames import (
    InterruptionFrame,
    LLMFullResponseEndFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)

from agents.backend_service import BackendTTS
from agents.backends import Backend, chosen_backend
from agents.voices import LazyEngine, SesameVoice
from agents.webrtc.app import create_app
from csm_plugin.engine import Engine
from csm_plugin.errors import CSMError, SettingsError
from tests.agents.edge_service import TONE_HZ, EdgeService, edge_service
from tests.pipecat.harness import running
from tests.pipecat.virtual_time import VirtualTimeLoop
from tests.scripted_engine import Script, ScriptedEngine

SENTENCES = ["Hello there, this is a sentence.", "And another one."]
TEXT = " ".join(SENTENCES)


async def written(text: str) -> AsyncIterator[str]:
    """A text as an LLM writes it."""
    for word in text.split(" "):
        yield f"{word} "


async def heard(backend: Backend, text: str = TEXT) -> np.ndarray:
    pieces = [samples async for samples in backend.generate_audio(written(text))]
    assert all(samples.dtype == np.int16 and samples.ndim == 1 for samples in pieces)
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[EdgeService]:
    with edge_service(monkeypatch) as service:
        yield service


@pytest.fixture
def no_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edge_tts", None)


@pytest.fixture
def sesame(tiny_checkpoint: Path) -> Iterator[Backend]:
    backend = chosen_backend({"TTS_BACKEND": "sesame", "SESAME_SPEAKER_ID": "3"}, str(tiny_checkpoint))
    assert backend is not None
    yield backend
    backend.cleanup()


def test_without_the_variable_there_is_no_backend() -> None:
    assert chosen_backend({}) is None
    assert chosen_backend({"TTS_BACKEND": " "}) is None


@pytest.mark.parametrize(
    "environment",
    [{"TTS_BACKEND": "piper"}, {"TTS_BACKEND": "sesame", "SESAME_SPEAKER_ID": "x"},
     {"TTS_BACKEND": "sesame", "SESAME_SPEAKER_ID": "100"}, {"TTS_BACKEND": "sesame", "SESAME_SPEAKER_ID": "-1"},
     {"TTS_BACKEND": "edge", "TTS_VOICE": "Guy"}],
)  # fmt: skip
def test_a_value_that_is_none_is_an_error(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=list(environment)[-1]):
        chosen_backend(environment)


def test_edge_needs_its_package(no_edge: None) -> None:
    with pytest.raises(SettingsError, match="pip install edge-tts"):
        chosen_backend({"TTS_BACKEND": "edge"})


async def test_edge_speaks_16_khz(edge: EdgeService) -> None:
    backend = chosen_backend({"TTS_BACKEND": "edge", "TTS_VOICE": "en-GB-RyanNeural"})
    assert backend is not None
    sound = await heard(backend, "Hello there.")
    assert len(sound) == pytest.approx(16_000, abs=2_000)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.argmax(spectrum) * 16_000 / len(sound) == pytest.approx(TONE_HZ, abs=5)
    ((text, voice),) = edge.asked
    assert text == "Hello there." and "en-GB, RyanNeural" in voice


async def test_sesame_is_loaded_and_warmed_up_with_the_first_text(tiny_checkpoint: Path) -> None:
    loaded: list[Engine] = []

    def load() -> Engine:
        loaded.append(Engine.load(tiny_checkpoint))
        return loaded[-1]

    backend = Backend(SesameVoice(LazyEngine(load, 3), 3))
    assert not loaded
    assert len(await heard(backend, "Hello."))
    assert len(loaded) == 1
    warm = loaded[0].stats().frames_stepped
    other = backend.another()
    assert len(await heard(other, "Hello."))
    assert len(loaded) == 1
    assert loaded[0].stats().frames_stepped > warm
    backend.cleanup()
    with pytest.raises(CSMError):
        loaded[0].conversation()


async def test_sesame_speaks_16_khz_sentence_by_sentence(sesame: Backend) -> None:
    """The model of the tests never ends by itself: how long a text becomes follows from the text."""
    sound = await heard(sesame)
    engine = await sesame._voice._first._engine.get()  # type: ignore[attr-defined]
    with engine.conversation(speaker=3) as talk:
        samples = sum(len(chunk.pcm) for text in SENTENCES for chunk in talk.speak(text))
    assert len(sound) == pytest.approx(samples * 16_000 / 24_000, abs=len(SENTENCES))
    assert np.abs(sound).max() > 0


async def test_what_holds_nothing_speakable_is_left_out(sesame: Backend) -> None:
    assert len(await heard(sesame, "... !?")) == 0


async def test_where_sesame_cannot_be_loaded_edge_speaks(edge: EdgeService, tmp_path: Path) -> None:
    backend = chosen_backend({"TTS_BACKEND": "sesame"}, str(tmp_path / "no-such-model"))
    assert backend is not None
    assert len(await heard(backend)) > 16_000
    assert edge.texts == SENTENCES


async def test_where_sesame_fails_edge_says_the_sentence(sesame: Backend, edge: EdgeService) -> None:
    assert len(await heard(sesame, "Hello."))
    engine = await sesame._voice._first._engine.get()  # type: ignore[attr-defined]
    engine.close()
    assert len(await heard(sesame, "Goodbye.")) == pytest.approx(16_000, abs=2_000)
    assert edge.texts == ["Goodbye."]


@pytest.mark.parametrize("way", ["refuses", "silent"])
async def test_where_neither_can_it_is_an_error(
    way: str, edge: EdgeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    edge.fails = way
    monkeypatch.setattr("agents.edge_voice.SILENCE_TIMEOUT_S", 0.2)
    backend = chosen_backend({"TTS_BACKEND": "sesame"}, str(tmp_path / "no-such-model"))
    assert backend is not None
    with pytest.raises(CSMError, match="Edge TTS failed"):
        await heard(backend)


async def test_ending_it_while_the_model_is_loaded_ends_the_model_too(tiny_checkpoint: Path) -> None:
    """As with Ctrl-C during the first text: whoever waited is cancelled, and the event loop is gone."""
    begun, loaded = threading.Event(), []

    def load() -> Engine:
        begun.set()
        loaded.append(Engine.load(tiny_checkpoint))
        return loaded[0]

    engine = LazyEngine(load)
    first = asyncio.create_task(engine.get())
    await asyncio.to_thread(begun.wait)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.to_thread(engine.close)
    with pytest.raises(CSMError):
        loaded[0].conversation()


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000])
async def test_an_agents_pipeline_speaks_with_it(sesame: Backend, rate_hz: int) -> None:
    async with running(BackendTTS(sesame.another(rate_hz))) as session:
        await session.reply(TEXT)
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
    frames = session.of(TTSAudioRawFrame)
    assert frames
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(rate_hz, 1)}


async def test_an_agents_pipeline_is_told_what_failed_and_speaks_when_it_can_again(edge: EdgeService) -> None:
    edge.fails = "refuses"
    backend = chosen_backend({"TTS_BACKEND": "edge"})
    assert backend is not None
    async with running(BackendTTS(backend)) as session:
        for failed in range(1, 6):
            await session.reply("Hello.")
            await session.until(lambda failed=failed: len(session.of(LLMFullResponseEndFrame)) == failed)
        assert sum("Edge TTS failed" in frame.error for frame in session.errors) == 5
        edge.fails = None
        await session.reply("Hello.")
        await session.until(lambda: session.of(TTSAudioRawFrame))


class SlowLoad:
    """A backend's engine that takes its time."""

    def __init__(self, engine: ScriptedEngine, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds

    async def get(self) -> ScriptedEngine:
        await asyncio.sleep(self._seconds)
        return self._engine


def scripted(engine: ScriptedEngine, load_s: float = 0.0) -> Backend:
    return Backend(SesameVoice(SlowLoad(engine, load_s)))  # type: ignore[arg-type]


def test_a_first_text_that_loads_the_model_for_a_minute_is_spoken_in_one_piece() -> None:
    async def talk() -> list[str]:
        async with running(BackendTTS(scripted(ScriptedEngine(lambda text: Script(frames=2)), 60.0))) as session:
            await session.reply("Hello.")
            await asyncio.sleep(61.0)
            await session.until(lambda: session.of(LLMFullResponseEndFrame))
        kinds = (TTSStartedFrame, TTSAudioRawFrame, TTSStoppedFrame, LLMFullResponseEndFrame)
        return [type(frame).__name__ for frame in session.down if isinstance(frame, kinds)]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        order = runner.run(talk())
    sound = [name for name in order if name == "TTSAudioRawFrame"]
    assert sound and order == ["TTSStartedFrame", *sound, "TTSStoppedFrame", "LLMFullResponseEndFrame"]


async def test_an_interruption_stops_it_and_what_follows_is_spoken() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=100 if "long" in text else 2, frame_delay_s=0.01))
    async with running(BackendTTS(scripted(engine))) as session:
        await session.reply("This is a long one.")
        await session.until(lambda: session.of(TTSAudioRawFrame))
        await session.send(InterruptionFrame())
        await session.until(lambda: not engine.live)
        assert len(engine.segments[0].chunks) < 100
        await session.reply("And this is short.")
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
    assert [len(segment.chunks) for segment in engine.segments[1:]] == [2]


async def test_who_stops_listening_stops_the_speech() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=100))
    sound = scripted(engine).generate_audio(written("This is a long one."))
    assert len(await anext(sound))
    (utterance,) = engine.live
    await sound.aclose()
    assert utterance.finish_reason == "cancelled"


async def test_a_listeners_conversation_ends_with_its_pipeline_and_the_model_stays() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=2))
    for listeners in (1, 2):
        async with running(BackendTTS(scripted(engine))) as session:
            await session.reply("Hello.")
            await session.until(lambda session=session: session.of(LLMFullResponseEndFrame))
        assert [talk.closed for talk in engine.conversations] == [True] * listeners
    assert not engine.closed


def test_the_webrtc_agent_says_who_speaks(edge: EdgeService) -> None:
    backend = chosen_backend({"TTS_BACKEND": "edge"})
    assert backend is not None
    assert TestClient(create_app(backend)).get("/status").json()["model"] == "edge"
