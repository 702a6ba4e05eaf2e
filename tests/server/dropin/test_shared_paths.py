"""Where two systems have one path, what is sent decides."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect

from tests.server.dropin.sounds import TEXT, read_base64, read_wav, tone_wav
from tests.server.running import RunningServer, running

SESAME = {"audio", "format", "sample_rate"}
CSM_TTS = {"audio_base64", "sample_rate", "duration_ms", "processing_time_ms", "watermarked"}


@pytest.mark.parametrize(
    ("fields", "answered"),
    [
        ({"speaker": 0}, SESAME),
        ({"speaker": 1, "max_audio_length_ms": 5_000, "temperature": 0.9, "topk": 50}, SESAME),
        ({"speaker_id": 0}, CSM_TTS),
        ({"watermark": False}, CSM_TTS),
        ({}, SESAME | CSM_TTS),
        ({"max_audio_length_ms": 5_000}, SESAME | CSM_TTS),
    ],
    ids=["speaker", "all of Sesame's", "speaker_id", "watermark", "neither's", "a length"],
)
def test_generate_answers_in_the_form_of_whoever_asks(
    server: RunningServer, fields: dict[str, Any], answered: set[str]
) -> None:
    told = httpx.post(f"{server.url}/generate", json={"text": "Hello."} | fields, timeout=60).json()
    assert set(told) == answered
    sounds = [read_base64(told[name]) for name in ("audio", "audio_base64") if name in told]
    assert all(np.array_equal(sound, sounds[0]) for sound in sounds)


def test_generate_refuses_a_mixture(server: RunningServer) -> None:
    answer = httpx.post(f"{server.url}/generate", json={"text": TEXT, "speaker": 0, "speaker_id": 0})
    assert answer.status_code == 422
    assert TEXT not in answer.text


async def test_one_socket_answers_both(server: RunningServer) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as socket:
        await socket.send(json.dumps({"text": "Hello."}))
        assert len(read_wav(await socket.recv()))  # type: ignore[arg-type]
        coded = base64.b64encode(tone_wav()).decode()
        await socket.send(json.dumps({"audio": coded, "transcript": "Hm.", "response_text": "Hello."}))
        told = json.loads(await socket.recv())
        assert len(read_base64(told["audio_chunk"]))


def test_health_has_what_both_tell(server: RunningServer) -> None:
    told = httpx.get(f"{server.url}/health").json()
    assert told["status"] == "healthy" and told["model_loaded"] is True
    assert told["model"] == server.engine.model_name
    assert (told["device"], told["sample_rate"], told["streaming_enabled"]) == ("cpu", 24_000, True)


def test_health_needs_no_key_and_tells_when_it_cannot_speak(tiny_checkpoint: Path) -> None:
    with running(tiny_checkpoint, api_keys="secret") as server:
        assert httpx.get(f"{server.url}/health").status_code == 200
        server.service.draining = True
        answer = httpx.get(f"{server.url}/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
