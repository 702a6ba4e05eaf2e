"""`TTS_BACKEND` says who speaks; where CSM cannot, Edge TTS does. Edge's service is a stand-in: it is elsewhere."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pipecat.frames.frames import ErrorFrame, LLMFullResponseEndFrame, TTSAudioRawFrame

from agents.backend_service import BackendTTS
from agents.backends import Backend, LazyEngine, SesameVoice, chosen_backend
from agents.webrtc import create_app
from csm_plugin.engine import Engine
from csm_plugin.errors import CSMError, SettingsError
from csm_plugin.server.encoders import encoder
from tests.pipecat.harness import running

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


def mp3(seconds: float) -> bytes:
    """A tone at 24 kHz, as Edge's service sends sound."""
    tone = (0.3 * np.sin(np.arange(int(24_000 * seconds)) * 2 * np.pi * 440 / 24_000)).astype(np.float32)
    made = encoder("mp3")
    return made.encode(tone) + made.finish()


class Communicate:
    """What `edge_tts.Communicate` does, from its documentation: `stream` gives sound in pieces, and word boundaries."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012
    fails = False

    def __init__(self, text: str, voice: str) -> None:
        self.asked.append((text, voice))

    async def stream(self) -> AsyncIterator[dict[str, Any]]:
        if self.fails:
            raise OSError("no network")
        data = mp3(1.0)
        for start in range(0, len(data), 720):
            yield {"type": "audio", "data": data[start : start + 720]}
        yield {"type": "WordBoundary", "offset": 0, "duration": 1, "text": "Hello"}


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Communicate]]:
    module = ModuleType("edge_tts")
    module.Communicate = Communicate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "edge_tts", module)
    monkeypatch.setattr(Communicate, "asked", [])
    yield Communicate


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
     {"TTS_BACKEND": "sesame", "SESAME_SPEAKER_ID": "100"}, {"TTS_BACKEND": "sesame", "SESAME_SPEAKER_ID": "-1"}],
)  # fmt: skip
def test_a_value_that_is_none_is_an_error(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=list(environment)[-1]):
        chosen_backend(environment)


def test_edge_needs_its_package(no_edge: None) -> None:
    with pytest.raises(SettingsError, match="pip install edge-tts"):
        chosen_backend({"TTS_BACKEND": "edge"})


async def test_edge_speaks_16_khz(edge: type[Communicate]) -> None:
    backend = chosen_backend({"TTS_BACKEND": "edge", "TTS_VOICE": "en-GB-RyanNeural"})
    assert backend is not None
    sound = await heard(backend, "Hello there.")
    assert len(sound) == pytest.approx(16_000, abs=2_000)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.argmax(spectrum) * 16_000 / len(sound) == pytest.approx(440, abs=5)
    assert edge.asked == [("Hello there.", "en-GB-RyanNeural")]


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
    engine = await sesame.voice._first._engine.get()  # type: ignore[attr-defined]
    with engine.conversation(speaker=3) as talk:
        samples = sum(len(chunk.pcm) for text in SENTENCES for chunk in talk.speak(text))
    assert len(sound) == pytest.approx(samples * 16_000 / 24_000, abs=len(SENTENCES))
    assert np.abs(sound).max() > 0


async def test_what_holds_nothing_speakable_is_left_out(sesame: Backend) -> None:
    assert len(await heard(sesame, "... !?")) == 0


async def test_where_sesame_cannot_be_loaded_edge_speaks(edge: type[Communicate], tmp_path: Path) -> None:
    backend = chosen_backend({"TTS_BACKEND": "sesame"}, str(tmp_path / "no-such-model"))
    assert backend is not None
    assert len(await heard(backend)) > 16_000
    assert [text for text, _ in edge.asked] == SENTENCES


async def test_where_sesame_fails_edge_says_the_sentence(sesame: Backend, edge: type[Communicate]) -> None:
    assert len(await heard(sesame, "Hello."))
    engine = await sesame.voice._first._engine.get()  # type: ignore[attr-defined]
    engine.close()
    assert len(await heard(sesame, "Goodbye.")) == pytest.approx(16_000, abs=2_000)
    assert [text for text, _ in edge.asked] == ["Goodbye."]


async def test_where_neither_can_it_is_an_error(
    edge: type[Communicate], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(edge, "fails", True)
    backend = chosen_backend({"TTS_BACKEND": "sesame"}, str(tmp_path / "no-such-model"))
    assert backend is not None
    with pytest.raises(CSMError, match="Edge TTS failed"):
        await heard(backend)


async def test_an_agents_pipeline_speaks_with_it(sesame: Backend) -> None:
    async with running(BackendTTS(sesame)) as session:
        await session.reply(TEXT)
        await session.until(lambda: any(isinstance(frame, LLMFullResponseEndFrame) for frame in session.down))
    frames = [frame for frame in session.down if isinstance(frame, TTSAudioRawFrame)]
    assert frames
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(16_000, 1)}


async def test_an_agents_pipeline_is_told_what_failed(edge: type[Communicate], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "fails", True)
    backend = chosen_backend({"TTS_BACKEND": "edge"})
    assert backend is not None
    async with running(BackendTTS(backend)) as session:
        await session.reply("Hello.")
        await session.until(lambda: any(isinstance(frame, ErrorFrame) for frame in session.up))


def test_the_webrtc_agent_says_who_speaks(edge: type[Communicate]) -> None:
    backend = chosen_backend({"TTS_BACKEND": "edge"})
    assert backend is not None
    assert TestClient(create_app(backend)).get("/status").json()["model"] == "edge"
