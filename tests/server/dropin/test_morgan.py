"""A client of Morgan's speech service, written from its guide, is served; and its `tts.yaml` is read."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from csm_plugin.errors import SettingsError
from csm_plugin.model.checkpoint import BUNDLED
from csm_plugin.server.formats.names import MEDIA_TYPES
from csm_plugin.server.shared.settings import print_settings, read_settings
from tests.server.decoding import decode
from tests.server.dropin.sounds import TEXT, read_base64
from tests.server.running import RunningServer, Stepped, running

TTS_YAML = """\
# Model configuration
model: "csm"
device: "cpu"
voice: "speaker_1"
sample_rate: 24000
# Audio parameters
speed: 2.0
output_format: "flac"
# Streaming configuration
streaming_enabled: true
chunk_size: 512               # Samples per chunk
buffer_size: 2048
log_level: "INFO"
port: 8002
"""


def generate(server: RunningServer, **fields: Any) -> dict[str, Any]:
    order = {"text": TEXT, "voice": "default", "speed": 1.0, "output_format": "wav"} | fields
    answer = httpx.post(f"{server.url}/api/generate", json=order, timeout=60)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The events of a response, as a client of server-sent events takes them."""
    for line in lines:
        if line:
            assert line.startswith("data: ")
            yield json.loads(line.removeprefix("data: "))


def test_a_text_comes_back_as_a_wav_file_in_base64(server: RunningServer) -> None:
    told = generate(server)
    samples = read_base64(told["audio_data"])
    assert (told["format"], told["sample_rate"]) == ("wav", 24_000)
    assert told["duration"] == pytest.approx(len(samples) / 24_000, abs=0.001)
    assert told["metadata"] == {"model": server.engine.model_name, "voice": "default", "text_length": len(TEXT)}
    assert np.abs(samples).max() > 0


@pytest.mark.parametrize("form", [form for form in MEDIA_TYPES if form not in ("pcm", "wav")])
def test_it_comes_in_the_format_that_is_asked_for(server: RunningServer, form: str) -> None:
    told = generate(server, output_format=form)
    assert told["format"] == form
    assert len(decode(base64.b64decode(told["audio_data"]))) / 24_000 == pytest.approx(told["duration"], abs=0.025)


@pytest.mark.parametrize("form", ["wav", "mp3", "opus", "flac"])
def test_a_file_in_base64_tells_its_own_length(server: RunningServer, form: str) -> None:
    """FLAC said 2^63 - 1 frames."""
    told = generate(server, output_format=form)
    file = soundfile.info(io.BytesIO(base64.b64decode(told["audio_data"])))
    assert file.frames / file.samplerate == pytest.approx(told["duration"], abs=0.001)


def test_stream_true_gives_the_sound_itself(server: RunningServer) -> None:
    answer = httpx.post(f"{server.url}/api/generate", json={"text": TEXT, "stream": True}, timeout=60)
    assert answer.headers["content-type"] == "audio/wav"
    assert len(decode(answer.content)) > 24_000


def test_events_come_while_the_sound_is_made(server: RunningServer, stepped: Stepped) -> None:
    sound = []
    stepped.allow(2)
    with httpx.stream("POST", f"{server.url}/api/stream", json={"text": "Hello there."}, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for event in events(answer.iter_lines()):
            stepped.allow(1_000)
            if event.get("done"):
                break
            data = base64.b64decode(event["audio_data"])
            assert event["chunk_size"] == len(data)
            sound.append(read_base64(event["audio_data"]))
    assert len(sound) > 1
    assert sum(map(len, sound)) == stepped.made * 1_920


def test_the_voices_are_listed_and_spoken_with(server: RunningServer) -> None:
    clara = BUNDLED / "csm-tiny" / "voices" / "clara.flac"
    voice = {"name": "morgans", "text": clara.with_suffix(".txt").read_text()}
    files = {"file": clara.read_bytes()}
    httpx.post(f"{server.url}/v1/voices", data=voice, files=files, timeout=60).raise_for_status()
    told = httpx.get(f"{server.url}/api/voices").json()
    assert told["voices"][:3] == ["default", "speaker_0", "speaker_1"]
    assert "morgans" in told["voices"]
    assert (told["current_voice"], told["current_model"]) == ("default", server.engine.model_name)
    opened: list[tuple[Any, int]] = []
    conversation = server.engine.conversation

    def noted(voice: Any = None, speaker: int = 0, sampling: Any = None) -> Any:
        opened.append((getattr(voice, "name", voice), speaker))
        return conversation(voice, speaker, sampling)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.engine, "conversation", noted)
        for name in ("morgans", "speaker_1", "7", "default"):
            assert generate(server, voice=name, text="Hi.")["metadata"]["voice"] == name
    assert [one for one in opened if one != (None, 0)] == [("morgans", 0), (None, 1), (None, 7)]
    httpx.delete(f"{server.url}/v1/voices/morgans")


def test_an_unknown_voice_is_an_error(server: RunningServer) -> None:
    answer = httpx.post(f"{server.url}/api/generate", json={"text": TEXT, "voice": "nobody"}, timeout=60)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "bad_voice"


@pytest.fixture(scope="module")
def configured(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the settings of Morgan's file."""
    config = tmp_path_factory.mktemp("morgan") / "tts.yaml"
    config.write_text(TTS_YAML)
    with running(tiny_checkpoint, morgan=read_settings(config).morgan) as server:
        yield server


def test_the_file_says_what_requests_mean_that_do_not(configured: RunningServer) -> None:
    plain, fast = (
        httpx.post(f"{configured.url}/api/generate", json=order, timeout=60).json()
        for order in ({"text": TEXT, "speed": 1.0}, {"text": TEXT})
    )
    assert plain["format"] == fast["format"] == "flac"
    assert base64.b64decode(fast["audio_data"])[:4] == b"fLaC"
    assert fast["metadata"]["voice"] == "speaker_1"
    assert httpx.get(f"{configured.url}/api/voices").json()["current_voice"] == "speaker_1"


def test_events_have_as_many_samples_as_the_file_says(configured: RunningServer) -> None:
    order = {"text": "Hello.", "output_format": "wav", "speed": 1.0}
    with httpx.stream("POST", f"{configured.url}/api/stream", json=order, timeout=60) as answer:
        sizes = [len(read_base64(e["audio_data"])) for e in events(answer.iter_lines()) if "audio_data" in e]
    assert set(sizes[:-1]) == {512}
    assert 0 < sizes[-1] <= 512


def test_the_file_is_read_as_settings(tmp_path: Path) -> None:
    config = tmp_path / "tts.yaml"
    config.write_text(TTS_YAML)
    read = read_settings(config, model="other")
    assert (read.model, read.device, read.port, read.log_level) == ("other", "cpu", 8002, "INFO")
    assert (read.morgan.speed, read.morgan.output_format, read.morgan.chunk_size) == (2.0, "flac", 512)
    assert read_settings(config).model == read_settings().model  # csm is whichever CSM there is
    printed = tmp_path / "printed.yaml"
    printed.write_text(print_settings(read))
    assert read_settings(printed).model_dump() == read.model_dump()


@pytest.mark.parametrize("line", ["sample_rate: 16000", "language: fr", "speed: 9", "output_format: wma", "chunk: 5"])
def test_what_cannot_be_is_refused(tmp_path: Path, line: str) -> None:
    config = tmp_path / "tts.yaml"
    config.write_text(f"voice: default\n{line}\n")
    with pytest.raises(SettingsError, match=line.partition(":")[0]):
        read_settings(config)


def test_streaming_can_be_switched_off(tiny_checkpoint: Path) -> None:
    with running(tiny_checkpoint, morgan={"streaming_enabled": False}) as server:
        answer = httpx.post(f"{server.url}/api/stream", json={"text": TEXT})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_streaming")
        assert httpx.get(f"{server.url}/health").json()["streaming_enabled"] is False
