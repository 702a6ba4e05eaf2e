"""Calls of LiveKit's and Pipecat's services for OpenAI, of applications, of programs, and of our own client."""

from __future__ import annotations

import io
import json
import subprocess

import httpx
import numpy as np
import soundfile
from livekit.plugins import openai as livekit_openai
from pipecat.frames.frames import TTSAudioRawFrame
from pipecat.services.openai.tts import OpenAITTSService

from csm_plugin.audio import to_int16
from csm_plugin.client import RemoteEngine
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling
from tests.server.clients.door import KEY, TEXT, Door, row
from tests.server.decoding import decode
from tests.server.socket_client import client


@row("livekit-plugins-openai 1.8", '`TTS(model="tts-1" …).synthesize`, `gpt-4o-mini-tts` with events', "frames")
async def livekit(door: Door) -> None:
    for model in ("tts-1", "gpt-4o-mini-tts"):
        async with livekit_openai.TTS(model=model, voice="ash", base_url=door.base, api_key=KEY) as tts:
            frames = [spoken.frame async for spoken in tts.synthesize(TEXT)]
        assert sum(frame.duration for frame in frames) > 0.2
        await tts._client.close()


@row("Pipecat 1.14, `OpenAITTSService`", "`run_tts`", "frames")
async def pipecat(door: Door) -> None:
    service = OpenAITTSService(
        api_key=KEY, base_url=door.base, settings=OpenAITTSService.Settings(voice="alloy", instructions="Whisper.")
    )
    service._sample_rate = SAMPLE_RATE_HZ
    frames = [frame async for frame in service.run_tts(TEXT, "one")]
    assert all(isinstance(frame, TTSAudioRawFrame) for frame in frames)
    assert sum(len(frame.audio) for frame in frames) > 0.2 * 2 * SAMPLE_RATE_HZ
    await service._client.close()


@row(
    "Open WebUI",
    "`GET /v1/audio/voices`, `GET /v1/audio/models`; a text with a voice of these",
    '`{"voices": [{"id", "name"}]}`, `{"models": [{"id"}]}`; spoken with it',
)
def open_webui(door: Door) -> None:
    voices = httpx.get(f"{door.base}/audio/voices", headers=door.headers).json()["voices"]
    assert [(voice["id"], voice["name"]) for voice in voices] == [("ann", "ann")]
    offered = httpx.get(f"{door.base}/audio/models", headers=door.headers).json()["models"]
    assert [model["id"] for model in offered] == [door.server.engine.model_name]
    spoken = door.post(model=offered[0]["id"], voice="ann", user="someone", metadata={"chat": "1"})
    assert spoken.status_code == 200 and "warning" not in spoken.headers


@row("Home Assistant, OpenAI TTS", "the text `.`, to try a key", "a moment of silence")
def home_assistant(door: Door) -> None:
    for form in ("mp3", "wav", "opus", "aac", "flac", "pcm"):
        answer = door.post(input=".", model="tts-1", voice="shimmer", response_format=form)
        assert answer.status_code == 200
        heard = np.frombuffer(answer.content, "<i2") if form == "pcm" else decode(answer.content)
        assert 0.2 < len(heard) / SAMPLE_RATE_HZ < 0.3
        assert np.abs(heard).max() < 1e-3
    assert httpx.post(f"{door.base}/audio/speech", json={"input": "."}).status_code == 401


@row(
    "clients of Kokoro-FastAPI",
    "`model: kokoro`, `voice: af_heart`, `stream`, `lang_code`, `volume_multiplier`, …",
    "spoken by the default voice; `Warning` says so",
)
def kokoro(door: Door) -> None:
    order = {
        "model": "kokoro", "voice": "af_bella(2)+af_sky", "response_format": "mp3", "stream": True, "lang_code": "a",
        "volume_multiplier": 1.0, "return_download_link": False, "download_format": None,
        "normalization_options": {"normalize": True},
    }  # fmt: skip
    answer = door.post(**order)
    assert "default one speaks" in answer.headers["warning"]
    door.holds_what_was_said(answer.content)
    quiet, loud = (decode(door.post(volume_multiplier=by, response_format="wav").content) for by in (0.5, 1))
    np.testing.assert_allclose(quiet, loud / 2, atol=1e-4)
    assert "CSM speaks English" in door.post(lang_code="z").headers["warning"]


@row("curl", '`-o speech.wav` with `"stream": false`; `-I /v1/models`', "a file that tells its length; 200")
def curl(door: Door) -> None:
    path = door.folder / "speech.wav"
    order = json.dumps({"input": TEXT, "response_format": "wav", "seed": 1, "stream": False})
    common = ["curl", "--silent", "--fail", "--noproxy", "*", "-H", f"Authorization: Bearer {KEY}"]
    subprocess.run([*common, "-H", "Content-Type: application/json", "-d", order, "-o", path,
                    f"{door.base}/audio/speech"], check=True, timeout=60)  # fmt: skip
    with io.BytesIO(path.read_bytes()) as file:
        assert int.from_bytes(file.getvalue()[40:44], "little") == len(door.said()) * 2
        assert np.array_equal(soundfile.read(file, dtype="int16")[0], door.said())
    told = subprocess.run([*common, "-I", f"{door.base}/models"], check=True, timeout=60, capture_output=True)
    assert told.stdout.startswith(b"HTTP/1.1 200")


@row("wget", "`--post-data … -O speech.mp3`; `--spider /v1/voices`", "the engine's sound; 200")
def wget(door: Door) -> None:
    path = door.folder / "speech.mp3"
    common = ["wget", "--quiet", "--no-proxy", f"--header=Authorization: Bearer {KEY}"]
    order = json.dumps({"input": TEXT, "seed": 1})
    subprocess.run([*common, "--header=Content-Type: application/json", f"--post-data={order}", "-O", path,
                    f"{door.base}/audio/speech"], check=True, timeout=60)  # fmt: skip
    door.holds_what_was_said(path.read_bytes())
    subprocess.run([*common, "--spider", f"{door.base}/voices"], check=True, timeout=60)


@row("`RemoteEngine`", '`RemoteEngine("http://host:8000/v1")`', "the engine's samples, in conversations")
def remote_engine(door: Door) -> None:
    with RemoteEngine(door.base, KEY) as engine:
        assert np.array_equal(to_int16(engine.synthesize(TEXT, sampling=Sampling(seed=1))), door.said())


@row("websockets", "`/v1/stream`: `open`, `speak`", "the engine's samples, in conversations")
async def a_socket(door: Door) -> None:
    async with client(door.server.ws, additional_headers=door.headers) as one:
        await one.send("open", conversation=1)
        heard = await one.say(1, 1, TEXT, sampling={"seed": 1})
    assert np.array_equal(heard.samples, door.said())
