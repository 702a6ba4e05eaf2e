"""`TTS_BACKEND` says who speaks for the LiveKit agent, too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from livekit.agents import APIConnectionError, APIConnectOptions
from livekit.plugins import csm

from agents.livekit_backend import make_tts
from csm_plugin.errors import SettingsError
from tests.agents.edge_service import TONE_HZ, EdgeService, edge_service

ONCE = APIConnectOptions(max_retry=0)


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[EdgeService]:
    with edge_service(monkeypatch) as service:
        yield service


def test_a_job_needs_no_torch_until_it_speaks_itself() -> None:
    program = "import sys, agents.livekit_agent; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)


def test_without_a_backend_csm_speaks() -> None:
    tts, voice = make_tts({})
    assert tts is voice and isinstance(tts, csm.TTS)


def test_sesame_speaks_under_its_number_with_edge_behind_it() -> None:
    tts, voice = make_tts({"TTS_BACKEND": "sesame", "SESAME_SPEAKER_ID": "3"})
    assert voice is not None and voice.options.speaker == 3
    assert tts.capabilities.streaming and tts.sample_rate == 24_000


def test_a_wrong_backend_is_an_error() -> None:
    with pytest.raises(SettingsError, match="TTS_BACKEND"):
        make_tts({"TTS_BACKEND": "piper"})


async def test_edge_speaks(edge: EdgeService) -> None:
    tts, voice = make_tts({"TTS_BACKEND": "edge"})
    assert voice is None
    async with tts.synthesize("Hello there.") as stream:
        frame = await stream.collect()
    assert edge.texts == ["Hello there."]
    sound = np.frombuffer(frame.data, np.int16)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.argmax(spectrum) * frame.sample_rate / len(sound) == pytest.approx(TONE_HZ, abs=5)


async def test_what_edge_cannot_say_is_an_error_that_livekit_retries(edge: EdgeService) -> None:
    edge.fails = "refuses"
    tts, _ = make_tts({"TTS_BACKEND": "edge"})
    with pytest.raises(APIConnectionError, match="Edge TTS failed"):
        async with tts.synthesize("Hello there.", conn_options=ONCE) as stream:
            await stream.collect()


async def test_where_sesame_cannot_be_loaded_edge_speaks(
    edge: EdgeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CSM_MODEL", str(tmp_path / "no-such-model"))
    tts, voice = make_tts({"TTS_BACKEND": "sesame"})
    assert voice is not None
    async with tts.stream() as stream:
        stream.push_text("Hello there. And another sentence.")
        stream.end_input()
        seconds = sum([audio.frame.duration async for audio in stream])
    assert seconds == pytest.approx(len(edge.texts) * 1.0, abs=0.2)
    assert " ".join(edge.texts).split() == "Hello there. And another sentence.".split()
    await tts.aclose()
    await voice.aclose()
