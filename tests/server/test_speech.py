"""`/v1/audio/speech` speaks while it sends, in every format, to OpenAI's own client and to curl."""

from __future__ import annotations

import base64
import io
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soundfile

from csm_plugin.audio import to_int16, wav_header
from csm_plugin.server.formats.names import MEDIA_TYPES
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling
from tests.server.decoding import decode
from tests.server.running import RunningServer, Stepped, running, wait_until

TEXT = "Hello there, this is a sentence."
FORMATS = tuple(MEDIA_TYPES)
TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm; rate=24000; channels=1",
}
AT_ONCE, ALL = 2, 1_000
"""Frames out of which each format makes its first bytes, and more than any text has."""
PADDING_S = 0.025
"""What MP3 and AAC may have more than was spoken."""


def expected(server: RunningServer, text: str = TEXT, seed: int = 1) -> np.ndarray:
    """What the engine says by itself, int16 [samples]."""
    return to_int16(server.engine.synthesize(text, sampling=Sampling(seed=seed)))


def decoded(data: bytes, form: str) -> np.ndarray:
    """Decode a response: float [samples] at 24 kHz."""
    return np.frombuffer(data, "<i2") / 32_767 if form == "pcm" else decode(data)


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_pcm_is_what_the_engine_says(server: RunningServer) -> None:
    answer = server.speak(input=TEXT, response_format="pcm")
    assert answer.status_code == 200
    assert np.array_equal(np.frombuffer(answer.content, "<i2"), expected(server))


def test_wav_is_the_same_behind_a_header(server: RunningServer) -> None:
    answer = server.speak(input=TEXT, response_format="wav")
    header = wav_header(SAMPLE_RATE_HZ)
    assert answer.content[: len(header)] == header
    assert np.array_equal(np.frombuffer(answer.content[len(header) :], "<i2"), expected(server))


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_holds_the_same_sound(server: RunningServer, form: str) -> None:
    answer = server.speak(input=TEXT, response_format=form)
    assert answer.headers["content-type"] == TYPES[form]
    seconds = len(expected(server)) / SAMPLE_RATE_HZ
    assert len(decoded(answer.content, form)) / SAMPLE_RATE_HZ == pytest.approx(seconds, abs=PADDING_S)


@pytest.mark.parametrize("form", FORMATS)
def test_openais_client_hears_it_while_it_is_made(
    server: RunningServer, client: openai.OpenAI, stepped: Stepped, form: Any
) -> None:
    stepped.allow(AT_ONCE)
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="Hello there.", response_format=form,
        extra_body={"seed": 1, "stream": True},
    ) as answer:  # fmt: skip
        pieces = answer.iter_bytes(64)
        data = next(pieces)
        assert stepped.made <= AT_ONCE
        stepped.allow(ALL)
        data += b"".join(pieces)
    assert stepped.made > AT_ONCE
    assert len(decoded(data, form)) / SAMPLE_RATE_HZ == pytest.approx(stepped.made * FRAME_S, abs=PADDING_S)


@pytest.mark.parametrize("form", FORMATS)
def test_curl_hears_it_while_it_is_made(server: RunningServer, stepped: Stepped, form: str) -> None:
    order = json.dumps({"input": "Hello there.", "response_format": form, "seed": 1, "stream": True})
    command = ["curl", "--silent", "--fail", "--no-buffer", "--noproxy", "*", "-H", "Content-Type: application/json",
               "--data", order, f"{server.url}/v1/audio/speech"]  # fmt: skip
    stepped.allow(AT_ONCE)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        data = process.stdout.read(1)
        assert stepped.made <= AT_ONCE
        stepped.allow(ALL)
        data += process.stdout.read()
    assert process.returncode == 0
    assert len(decoded(data, form)) / SAMPLE_RATE_HZ == pytest.approx(stepped.made * FRAME_S, abs=PADDING_S)


def test_openais_client_reads_the_events(server: RunningServer, client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=TEXT, response_format="pcm", stream_format="sse", extra_body={"seed": 1}
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert np.array_equal(np.frombuffer(sound, "<i2"), expected(server))
    frames = len(sound) // 2 // FRAME_SAMPLES
    assert events[-1] == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": len(TEXT), "output_tokens": frames, "total_tokens": len(TEXT) + frames},
    }


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.5, 4])
def test_speed_changes_the_length(server: RunningServer, speed: float) -> None:
    answer = server.speak(input=TEXT, response_format="pcm", speed=speed)
    assert len(answer.content) / 2 / len(expected(server)) == pytest.approx(1 / speed, rel=0.03)


def test_a_long_text_is_spoken_sentence_by_sentence(server: RunningServer) -> None:
    text = "This is one of many sentences that follow each other. " * 7
    answer = server.speak(input=text, response_format="pcm", seed=3)
    assert np.array_equal(np.frombuffer(answer.content, "<i2"), expected(server, text, seed=3))


def test_a_reader_who_leaves_frees_the_row(server: RunningServer) -> None:
    with httpx.stream("POST", f"{server.url}/v1/audio/speech", json={"input": "A long text. " * 300}) as answer:
        next(answer.iter_bytes())
    stepped = server.engine.stats().frames_stepped
    wait_until(lambda: server.engine.stats().live_rows == 0)
    print(f"{server.engine.stats().frames_stepped - stepped} steps after the reader had left")
    wait_until(lambda: server.service.live == 0)


@pytest.mark.parametrize(
    ("order", "status", "param"),
    [
        ({"input": ""}, 422, "input"),
        ({"input": "a" * 4_097}, 422, "input"),
        ({"input": None}, 422, "input"),
        ({"input": "🙂"}, 422, None),
        ({"model": "gpt-9"}, 404, "model"),
        ({"model": "whisper-1"}, 404, "model"),
        ({"voice": "http://169.254.169.254/voice.wav"}, 422, None),
        ({"voice": {"id": "../nobody"}}, 422, None),
        ({"voice": "../../etc/passwd"}, 422, None),
        ({"voice": "2852039166"}, 422, None),
        ({"voice": "169.254.169.254"}, 422, None),
        ({"voice": 7}, 422, "voice"),
        ({"response_format": "ogg"}, 422, "response_format"),
        ({"speed": 0.1}, 422, "speed"),
        ({"speed": "fast"}, 422, "speed"),
        ({"instructions": 7}, 422, "instructions"),
        ({"volume_multiplier": -1}, 422, "volume_multiplier"),
        ({"exaggeration": 0.9}, 422, "exaggeration"),
        ({"sample_rate": 48_000}, 422, "sample_rate"),
        ({"ref_audio": "https://example.com/a.wav"}, 422, "ref_audio"),
        ({"stream": "perhaps"}, 422, "stream"),
        ({"stream_format": "ws"}, 422, "stream_format"),
        ({"seed": -1}, 422, "seed"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_in_openais_shape(
    server: RunningServer, order: dict[str, Any], status: int, param: str | None
) -> None:
    stepped = server.engine.stats().frames_stepped
    answer = server.speak(**order)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert param is None or param in error["param"]
    assert error["message"] and error["code"]
    assert server.engine.stats().frames_stepped == stepped


@pytest.fixture(scope="module")
def strict(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint, unknown_voice="error", instructions="refuse") as server:
        yield server


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"voice": "nobody"}, 422, "bad_voice"),
        ({"voice": {"id": "nobody"}}, 422, "bad_voice"),
        ({"instructions": "Whisper."}, 422, "unsupported_field"),
        ({"voice": "alloy"}, 200, None),
        ({"voice": "default"}, 200, None),
        ({"voice": ""}, 200, None),
        ({"instructions": ""}, 200, None),
        ({"user": "someone"}, 200, None),
    ],
    ids=str,
)
def test_by_the_settings_unknown_voices_and_instructions_are_errors(
    strict: RunningServer, order: dict[str, Any], status: int, code: str | None
) -> None:
    answer = strict.speak(**order)
    assert answer.status_code == status
    assert code is None or answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("order", "warned"),
    [
        ({}, 0),
        ({"voice": "nobody"}, 1),
        ({"voice": "default"}, 1),
        ({"voice": "alloy"}, 1),
        ({"voice": {"id": "voice_1234"}}, 1),
        ({"voice": "Zoé (soft)", "instructions": "Whisper.", "language": "fr"}, 3),
        ({"model": "csm-1b", "nonsense": [1], "stream": False, "user": "x", "speed": None, "response_format": None}, 0),
        ({"model": "gpt-4o-mini-tts-2025-12-15", "temperature": None, "stream_format": None, "voice": None}, 0),
        ({"model": "", "voice": "", "exaggeration": None, "sample_rate": 24_000, "lang_code": "en-us"}, 0),
    ],
    ids=str,
)
def test_what_other_clients_send_is_spoken_and_what_is_passed_over_is_said(
    server: RunningServer, order: dict[str, Any], warned: int
) -> None:
    answer = server.speak(**({"response_format": "wav"} | order))
    assert answer.status_code == 200
    assert len(answer.headers.get_list("warning")) == warned
    assert all(one.startswith('299 csm-plugin "') for one in answer.headers.get_list("warning"))


@pytest.mark.parametrize("text", [".", "...", " ?! ", "…", "-"])
def test_punctuation_alone_is_a_moment_of_silence(server: RunningServer, text: str) -> None:
    stepped = server.engine.stats().frames_stepped
    answer = server.speak(input=text, response_format="pcm")
    assert answer.status_code == 200
    assert not np.frombuffer(answer.content, "<i2").any()
    assert len(answer.content) == 2 * 3 * FRAME_SAMPLES
    assert server.engine.stats().frames_stepped == stepped


@pytest.mark.parametrize("form", ["wav", "flac", "opus", "mp3"])
def test_a_finished_file_tells_its_length(server: RunningServer, form: str) -> None:
    answer = server.speak(input=TEXT, response_format=form, stream=False)
    told = soundfile.info(io.BytesIO(answer.content))
    assert told.frames / told.samplerate == pytest.approx(len(expected(server)) / SAMPLE_RATE_HZ, abs=0.001)


def test_who_leaves_before_a_finished_file_is_made_frees_the_row(server: RunningServer, stepped: Stepped) -> None:
    order = {"input": "A long text. " * 300, "response_format": "flac"}
    body = json.dumps(order).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(head.encode() + b"\r\n\r\n" + body)
        stepped.allow(3)
        wait_until(lambda: stepped.made >= 3)
    wait_until(lambda: server.service.live == 0)
    stepped.allow(10)
    wait_until(lambda: server.engine.stats().live_rows == 0)
    assert stepped.made <= 8


@pytest.mark.parametrize(
    ("kind", "body", "status", "told"),
    [
        ("application/json", b"nonsense", 400, "the body is no JSON"),
        ("application/x-www-form-urlencoded", b'{"input": "Hello."}', 422, "Content-Type: application/json"),
        ("application/json", b"", 422, "send one"),
    ],
)
def test_a_mistake_of_beginners_is_told_with_what_to_do(
    server: RunningServer, kind: str, body: bytes, status: int, told: str
) -> None:
    answer = httpx.post(f"{server.url}/v1/audio/speech", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]


def test_openais_client_raises_its_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="at most 4096"):
        client.audio.speech.create(model="tts-1", voice="alloy", input="a" * 4_097)
    with pytest.raises(openai.NotFoundError, match="no such model"):
        client.audio.speech.create(model="gpt-9", voice="alloy", input="Hello.")


def test_openais_client_lists_the_model(server: RunningServer, client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [server.engine.model_name]
