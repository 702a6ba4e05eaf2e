"""A client of csm_tts, written from its README, is served; a watermark is refused as long as there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect

from csm_plugin.audio import to_int16
from csm_plugin.conversation import longest_utterance
from csm_plugin.errors import SettingsError
from csm_plugin.server.shared.settings import print_settings, read_settings
from csm_plugin.settings import Sampling
from tests.server.dropin.sounds import GREEDY, TEXT, greedy, read_base64, read_wav
from tests.server.running import RunningServer, Stepped, running

KEY = [1, 2, 3, 4, 5]
FULL = {"text": TEXT, "speaker_id": 1, "max_audio_length_ms": 30_000, "topk": 50, "watermark": False, **GREEDY}


def test_a_text_comes_back_as_a_wav_file_in_base64(server: RunningServer) -> None:
    told = httpx.post(f"{server.url}/generate", json=FULL, timeout=60).json()
    assert set(told) == {"audio_base64", "sample_rate", "duration_ms", "processing_time_ms", "watermarked"}
    samples = read_base64(told["audio_base64"])
    assert np.array_equal(samples, greedy(server, speaker=1))
    assert told["duration_ms"] == pytest.approx(len(samples) / 24, abs=0.1)
    assert told["processing_time_ms"] > 0
    assert (told["sample_rate"], told["watermarked"]) == (24_000, False)


def test_a_text_comes_back_as_a_wav_file(server: RunningServer) -> None:
    answer = httpx.post(f"{server.url}/generate/wav", json=FULL, timeout=60)
    assert answer.headers["content-type"] == "audio/wav"
    assert "speech.wav" in answer.headers["content-disposition"]
    assert np.array_equal(read_wav(answer.content), greedy(server, speaker=1))


async def test_a_socket_speaks_text_by_text_until_done(server: RunningServer) -> None:
    texts = ["Hello,", "how are you?", "I'm doing great!"]
    with server.engine.conversation(sampling=Sampling(temperature=0, max_seconds=30)) as talk:
        expected = [to_int16(np.concatenate([chunk.pcm for chunk in talk.speak(text)])) for text in texts]
    async with connect(f"ws://127.0.0.1:{server.port}/stream", proxy=None) as socket:
        for text, sound in zip(texts, expected, strict=True):
            await socket.send(json.dumps({"text": text, **GREEDY}))
            told = json.loads(await socket.recv())
            assert (told["text"], told["sample_rate"]) == (text, 24_000)
            assert np.array_equal(read_base64(told["audio_base64"]), sound)
        await socket.send(json.dumps({"done": True}))
        assert json.loads(await socket.recv()) == {"status": "closed"}
        await socket.wait_closed()
        assert socket.close_code == 1000


async def test_texts_may_be_sent_without_waiting_and_come_back_in_order(server: RunningServer) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/stream", proxy=None) as socket:
        for number in range(6):
            await socket.send(json.dumps({"text": f"Number {number}.", "speaker_id": number % 2}))
        told = [json.loads(await socket.recv())["text"] for _ in range(6)]
    assert told == [f"Number {number}." for number in range(6)]


async def test_an_error_on_the_socket_is_told_and_it_goes_on(server: RunningServer) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/stream", proxy=None) as socket:
        for wrong, code in (
            ({}, "missing"),
            ({"text": "..."}, "bad_text"),
            ({"text": TEXT, "watermark": True}, "no_watermark"),
            ({"text": TEXT, "speaker_id": "x"}, "int_parsing"),
        ):
            await socket.send(json.dumps(wrong))
            told = json.loads(await socket.recv())
            assert told["code"] == code
            assert TEXT not in told["error"]
        await socket.send(json.dumps({"text": "Hi."}))
        assert "audio_base64" in json.loads(await socket.recv())


def test_lines_come_as_soon_as_each_text_is_spoken(server: RunningServer, stepped: Stepped) -> None:
    texts = ["Hello,", "  ", "how are you?"]
    lines = []
    stepped.allow(longest_utterance(texts[0], None) + 1)
    with httpx.stream("POST", f"{server.url}/stream/chunks?speaker_id=1", json=texts, timeout=60) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        for line in answer.iter_lines():
            lines.append(json.loads(line))
            stepped.allow(1_000)
    assert [line["text"] for line in lines] == ["Hello,", "how are you?"]
    assert all(len(read_base64(line["audio_base64"])) and line["sample_rate"] == 24_000 for line in lines)


def test_a_text_that_cannot_be_spoken_has_a_line_that_says_so(server: RunningServer) -> None:
    answer = httpx.post(f"{server.url}/stream/chunks", json=["Hello.", "...", "Goodbye."], timeout=60)
    first, second, third = map(json.loads, answer.text.splitlines())
    assert first["text"] == "Hello." and third["text"] == "Goodbye."
    assert second["code"] == "bad_text"


@pytest.mark.parametrize("path", ["/generate", "/generate/wav"])
@pytest.mark.parametrize(
    "demand", [{"watermark": True}, {"watermark_key": KEY}, {"watermark": True, "watermark_key": KEY}]
)
def test_a_request_that_demands_a_watermark_is_refused(
    server: RunningServer, path: str, demand: dict[str, Any]
) -> None:
    answer = httpx.post(server.url + path, json={"text": TEXT} | demand, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "no_watermark")


@pytest.mark.parametrize(
    "key", [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, -5], ["a"] * 5, "12345", [1, 2, 3, 4, 0.5]]
)
def test_a_key_that_is_none_is_refused_even_without_a_watermark(server: RunningServer, key: object) -> None:
    answer = httpx.post(f"{server.url}/generate", json={"text": TEXT, "watermark": False, "watermark_key": key})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"].startswith("watermark_key")


def test_a_key_without_a_watermark_demands_none(server: RunningServer) -> None:
    order = {"text": "Hi.", "watermark": False, "watermark_key": KEY}
    assert httpx.post(f"{server.url}/generate", json=order, timeout=60).json()["watermarked"] is False


@pytest.fixture(scope="module", params=[{"watermark_enabled": True}, {"watermark_key": "123,456,789,101,202"}], ids=str)
def marking(request: pytest.FixtureRequest, tiny_checkpoint: Path) -> Iterator[RunningServer]:
    """A server that was told to write watermarks."""
    with running(tiny_checkpoint, **request.param) as server:
        yield server


ROUTES: list[tuple[str, Any]] = [
    ("/generate", {"text": TEXT}),
    ("/generate", {"text": TEXT, "speaker": 0}),
    ("/generate/wav", {"text": TEXT}),
    ("/stream/chunks", [TEXT]),
    ("/api/generate", {"text": TEXT}),
    ("/api/stream", {"text": TEXT}),
    ("/v1/audio/speech", {"input": TEXT}),
]


@pytest.mark.parametrize(("path", "body"), ROUTES, ids=str)
def test_a_server_that_should_write_watermarks_speaks_nothing_without(
    marking: RunningServer, path: str, body: Any
) -> None:
    answer = httpx.post(marking.url + path, json=body, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "no_watermark")


def test_a_request_may_say_that_it_wants_none(marking: RunningServer) -> None:
    assert httpx.post(f"{marking.url}/generate", json={"text": "Hi.", "watermark": False}, timeout=60).is_success
    assert httpx.post(f"{marking.url}/stream/chunks?watermark=false", json=["Hi."], timeout=60).is_success


def test_the_environment_says_what_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not read_settings().watermarks
    monkeypatch.setenv("CSM_WATERMARK_KEY", "123,456,789,101,202")
    assert read_settings().watermark_key == (123, 456, 789, 101, 202)
    assert read_settings().watermarks
    assert "456" not in print_settings(read_settings())
    monkeypatch.setenv("CSM_WATERMARK_ENABLED", "false")
    assert not read_settings().watermarks
    monkeypatch.setenv("CSM_WATERMARK_KEY", "1,2,three,4,5")
    with pytest.raises(SettingsError, match="watermark_key") as refused:
        read_settings()
    assert "three" not in str(refused.value)
