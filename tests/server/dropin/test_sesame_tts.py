"""A client of Sesame_TTS, written from its description, is served."""

from __future__ import annotations

import json

import httpx
import numpy as np
from websockets.asyncio.client import connect

from tests.server.dropin.sounds import GREEDY, TEXT, greedy, read_base64, read_wav
from tests.server.running import RunningServer

ORDER = {"text": TEXT, "speaker": 1, "max_audio_length_ms": 10_000, "topk": 50, **GREEDY}


def test_a_text_comes_back_as_a_wav_file_in_base64(server: RunningServer) -> None:
    told = httpx.post(f"{server.url}/generate", json=ORDER, timeout=60).json()
    assert {name: told[name] for name in ("format", "sample_rate")} == {"format": "wav", "sample_rate": 24_000}
    assert set(told) == {"audio", "format", "sample_rate"}
    assert np.array_equal(read_base64(told["audio"]), greedy(server, speaker=1, max_seconds=10))


def test_it_lasts_no_longer_than_was_said(server: RunningServer) -> None:
    long = "This is one sentence of a text that is long. " * 10
    told = httpx.post(f"{server.url}/generate", json=ORDER | {"text": long, "max_audio_length_ms": 1_010}, timeout=60)
    assert len(read_base64(told.json()["audio"])) == 24_240


async def test_a_socket_answers_each_text_with_a_wav_file(server: RunningServer) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as socket:
        for speaker in (1, 0):
            await socket.send(json.dumps(ORDER | {"speaker": speaker}))
            data = await socket.recv()
            assert isinstance(data, bytes)
            assert np.array_equal(read_wav(data), greedy(server, speaker=speaker, max_seconds=10))


async def test_an_error_on_a_socket_is_told_and_it_goes_on(server: RunningServer) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as socket:
        for wrong in ({"text": "..."}, {"text": ""}, {"text": TEXT, "speaker": -1}, {"nothing": 1}, [], 7):
            await socket.send(json.dumps(wrong))
            told = json.loads(await socket.recv())
            assert set(told) == {"error", "code"}
            assert TEXT not in told["error"]
        await socket.send("{")
        assert json.loads(await socket.recv())["code"] == "no_json"
        await socket.send(b"\x00")
        assert json.loads(await socket.recv())["code"] == "no_json"
        await socket.send(json.dumps({"text": "Hi."}))
        assert len(read_wav(await socket.recv()))  # type: ignore[arg-type]
