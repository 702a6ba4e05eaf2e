"""What cannot be said is refused at each door in that door's own shape, costs no frame, and what follows is served.

Keys, room and leaving are in test_gate, test_admission and dropin/test_guards; RemoteEngine's errors in its own tests.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.server.running import RunningServer
from tests.server.socket_client import client

HTTP = {
    "/v1/audio/speech": "input", "/api/generate": "text", "/api/stream": "text", "/generate": "text",
    "/generate/wav": "text",
}  # fmt: skip
"""Doors over HTTP, and what each calls a text."""

TEXTS: dict[str, Any] = {
    "none": None, "empty": "", "blank": " \n", "an emoji": "🙂", "too much": "a" * 4_097, "a number": 7,
    "a list": ["Hi."],
}  # fmt: skip


@pytest.mark.parametrize("path", HTTP)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_that_is_none_is_refused_over_http(server: RunningServer, path: str, text: Any) -> None:
    stepped = server.engine.stats().frames_stepped
    answer = httpx.post(server.url + path, json={HTTP[path]: text}, timeout=60)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error" and error["code"] and len(error["message"]) > 10
    assert "aaaa" not in error["message"]
    assert server.engine.stats().frames_stepped == stepped


@pytest.mark.parametrize("path", ["/api/generate", "/api/stream"])
def test_a_voice_that_is_none_is_refused_over_http(server: RunningServer, path: str) -> None:
    answer = httpx.post(server.url + path, json={"text": "Hello.", "voice": "nobody"}, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_voice")


def test_texts_of_a_list_that_are_none_have_lines_that_say_so(server: RunningServer) -> None:
    answer = httpx.post(f"{server.url}/stream/chunks", json=["", "🙂", "Hello."], timeout=60)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line.get("code") for line in lines] == ["bad_text", None]


@pytest.mark.parametrize("path", ["/ws", "/stream"])
async def test_a_text_that_is_none_is_refused_on_a_drop_in_socket(server: RunningServer, path: str) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None) as one:
        for text in TEXTS.values():
            await one.send(json.dumps({"text": text}))
            told = json.loads(await one.recv())
            assert set(told) == {"error", "code"} and told["code"] and len(told["error"]) > 10
        await one.send(json.dumps({"text": "Hello.", "max_audio_length_ms": 200}))
        assert isinstance(answer := await one.recv(), bytes) or "audio_base64" in json.loads(answer)


async def test_a_text_or_voice_that_is_none_is_refused_on_the_socket(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1, sampling={"max_seconds": 0.2})
        for number, text in enumerate(("", " \n", "🙂", "a" * 4_097), 1):
            await one.send("speak", conversation=1, number=number, text=text)
            ended = await one.until("ended", number=number)
            assert (ended["reason"], ended["frames"], ended["error"]["code"]) == ("error", 0, "bad_text")
            await one.until("done", number=number)
        for number, text in enumerate((None, 7, ["Hi."]), 5):
            await one.send("speak", conversation=1, number=number, text=text)
            assert (await one.until("failed", number=number))["error"]["code"] == "bad_text"
        await one.send("open", conversation=2, voice="nobody")
        assert (await one.until("closed", conversation=2))["error"]["code"] == "bad_voice"
        assert (await one.say(1, 9, "Still here.")).ended[0]["error"] is None
