"""The same text, voice and seed are the same samples through each door."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import connect

from csm_plugin.audio import to_int16
from csm_plugin.cli import main
from csm_plugin.client import RemoteEngine
from csm_plugin.compat.sesame_tts import SesameTTS
from csm_plugin.engine import conversation as engine_conversation
from csm_plugin.settings import Sampling
from tests.server.running import RunningServer, running
from tests.server.socket_client import client

TEXT, VOICE, SEED = "Hello there, this is me.", "ann", 7
GREEDY = {"temperature": 0, "topk": 1, "max_audio_length_ms": 2_000}


@dataclass(frozen=True, slots=True)
class House:
    """A server, and what its model and voices lie in."""

    server: RunningServer
    checkpoint: Path
    voices: Path
    folder: Path

    def post(self, path: str, order: Any) -> httpx.Response:
        answer = httpx.post(self.server.url + path, json=order, timeout=60)
        assert answer.status_code == 200
        return answer


@pytest.fixture(scope="module")
def house(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    voices = tmp_path_factory.mktemp("voices")
    soundfile.write(voices / "ann.wav", 0.1 * np.random.default_rng(0).normal(size=24_000), 24_000)
    (voices / "ann.txt").write_text("This is how I sound.")
    patch = pytest.MonkeyPatch()
    patch.setenv("CSM_VOICES", str(voices))
    patch.setattr(engine_conversation.secrets, "randbits", lambda bits: SEED)  # where a door takes no seed
    with running(tiny_checkpoint, voices=voices) as server:
        yield House(server, tiny_checkpoint, voices, tmp_path_factory.mktemp("made"))
    patch.undo()


def samples_of(data: bytes) -> np.ndarray:
    """The samples of a file, int16."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == 24_000
    return samples  # type: ignore[no-any-return]


def over_http(form: str, **more: Any) -> Callable[[House], np.ndarray]:
    def speak(house: House) -> np.ndarray:
        order = {"input": TEXT, "voice": VOICE, "seed": SEED, "response_format": form} | more
        data = house.post("/v1/audio/speech", order).content
        return np.frombuffer(data, "<i2") if form == "pcm" else samples_of(data)

    return speak


def over_events(house: House) -> np.ndarray:
    order = {"input": TEXT, "voice": VOICE, "seed": SEED, "response_format": "pcm", "stream_format": "sse"}
    events = [json.loads(line[6:]) for line in house.post("/v1/audio/speech", order).text.splitlines() if line]
    return np.frombuffer(b"".join(base64.b64decode(event.get("audio", "")) for event in events), "<i2")


async def over_the_socket(house: House) -> np.ndarray:
    async with client(house.server.ws) as one:
        await one.send("open", conversation=1, voice=VOICE)
        return (await one.say(1, 1, TEXT, sampling={"seed": SEED})).samples


def by_the_remote_engine(house: House) -> np.ndarray:
    with RemoteEngine(f"{house.server.url}/v1") as engine:
        return to_int16(engine.synthesize(TEXT, voice=VOICE, sampling=Sampling(seed=SEED)))


def by_morgan(house: House) -> np.ndarray:
    told = house.post("/api/generate", {"text": TEXT, "voice": VOICE, "output_format": "wav"}).json()
    return samples_of(base64.b64decode(told["audio_data"]))


def by_the_command_line(house: House) -> np.ndarray:
    path = house.folder / "said.wav"
    options = ["--model", str(house.checkpoint), "--device", "cpu", "--voice", VOICE, "--seed", str(SEED), "-q"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSM_VOICES", str(house.voices))
        assert main(["say", TEXT, "-o", str(path), *options]) == 0
    return samples_of(path.read_bytes())


DOORS: dict[str, Callable[[House], Any]] = {
    "pcm": over_http("pcm"),
    "wav": over_http("wav"),
    "wav, finished": over_http("wav", stream=False),
    "flac": over_http("flac"),
    "events": over_events,
    "socket": over_the_socket,
    "RemoteEngine": by_the_remote_engine,
    "Morgan": by_morgan,
    "csm say": by_the_command_line,
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_voice_and_a_seed_are_the_same_samples_through_each_door(house: House, door: Callable[[House], Any]) -> None:
    expected = to_int16(house.server.engine.synthesize(TEXT, voice=VOICE, sampling=Sampling(seed=SEED)))
    made = door(house)
    heard = asyncio.run(made) if asyncio.iscoroutine(made) else made
    assert np.array_equal(heard, expected)


def answered(path: str, field: str) -> Callable[[House], np.ndarray]:
    def speak(house: House) -> np.ndarray:
        return samples_of(base64.b64decode(house.post(path, {"text": TEXT} | GREEDY).json()[field]))

    return speak


def in_a_line(house: House) -> np.ndarray:
    order = house.post("/generate/wav", {"text": TEXT} | GREEDY)
    return samples_of(order.content)


def on_a_socket(path: str) -> Callable[[House], Any]:
    async def speak(house: House) -> np.ndarray:
        async with connect(f"ws://127.0.0.1:{house.server.port}{path}", proxy=None) as one:
            await one.send(json.dumps({"text": TEXT} | GREEDY))
            answer = await one.recv()
        return samples_of(answer if isinstance(answer, bytes) else base64.b64decode(json.loads(answer)["audio_base64"]))

    return speak


def in_python(house: House) -> np.ndarray:
    speak = SesameTTS(house.server.engine).generate_speech
    return samples_of(speak(TEXT, max_audio_length_ms=2_000, temperature=0, topk=1))


DROP_IN: dict[str, Callable[[House], Any]] = {
    "/generate of Sesame_TTS": answered("/generate", "audio"),
    "/generate of csm_tts": answered("/generate", "audio_base64"),
    "/generate/wav": in_a_line,
    "/ws": on_a_socket("/ws"),
    "/stream": on_a_socket("/stream"),
    "SesameTTS in Python": in_python,
}


@pytest.mark.parametrize("door", DROP_IN.values(), ids=DROP_IN)
def test_doors_without_voices_and_seeds_agree_where_nothing_is_drawn(
    house: House, door: Callable[[House], Any]
) -> None:
    sampling = Sampling(temperature=0, top_k=1, max_seconds=2)
    expected = to_int16(house.server.engine.synthesize(TEXT, sampling=sampling))[: 2 * 24_000]
    made = door(house)
    heard = asyncio.run(made) if asyncio.iscoroutine(made) else made
    assert np.array_equal(heard, expected)
