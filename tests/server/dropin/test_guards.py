"""Drop-in routes are guarded as all others: keys, sizes, room, and an end to what nobody hears any more."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from loguru import logger
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.dropin.sounds import tone_wav
from tests.server.running import Paced, RunningServer, running, wait_until

KEY = "correct-horse"
LONG = "This is a sentence that goes on for quite a while. " * 60
SECRET = "Xylophone quarrel."
POSTS: list[tuple[str, Any]] = [
    ("/api/generate", {"text": LONG}),
    ("/api/stream", {"text": LONG}),
    ("/generate", {"text": LONG, "max_audio_length_ms": 600_000}),
    ("/generate", {"text": LONG, "speaker": 0, "max_audio_length_ms": 600_000}),
    ("/generate/wav", {"text": LONG, "max_audio_length_ms": 600_000}),
    ("/stream/chunks", [LONG] * 3),
]
PATHS = list(dict.fromkeys(path for path, _ in POSTS))
MESSAGES: list[tuple[str, Any]] = [
    ("/ws", {"text": LONG, "max_audio_length_ms": 600_000}),
    ("/ws", {"audio": base64.b64encode(tone_wav()).decode(), "transcript": "Hm.", "response_text": LONG}),
    ("/stream", {"text": LONG, "max_audio_length_ms": 600_000}),
]
SOCKETS = ["/ws", "/stream"]


@pytest.fixture(scope="module")
def locked(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    """A server with a key."""
    with running(tiny_checkpoint, api_keys=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def narrow(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    """A server with one row and no queue, that waits for nobody."""
    with running(tiny_checkpoint, max_conversations=1, max_queue=0, start_s=0.5, idle_s=0.7) as server:
        yield server


def is_idle(server: RunningServer) -> bool:
    """Whether nothing is spoken, and no conversation is open."""
    stats = server.engine.stats()
    return server.service.live == stats.live_rows == stats.conversations == stats.queued == 0


def is_speaking(server: RunningServer) -> bool:
    return server.engine.stats().live_rows > 0


def url(server: RunningServer, path: str) -> str:
    return f"ws://127.0.0.1:{server.port}{path}"


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_no_body_is_read(locked: RunningServer, path: str) -> None:
    with socket.create_connection(("127.0.0.1", locked.port)) as plain:
        plain.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert plain.recv(1_000).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_socket_needs_a_key(locked: RunningServer, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url(locked, path), proxy=None):
            pass
    assert refused.value.response.status_code == 401
    headers = {"Authorization": f"Bearer {KEY}"}
    async with connect(url(locked, path), proxy=None, additional_headers=headers) as one:
        await one.send(json.dumps({"text": "Hi."}))
        assert await one.recv()


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_foreign_page_opens_no_socket(server: RunningServer, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url(server, path), proxy=None, origin="https://evil.example"):  # type: ignore[arg-type]
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("characters", "status"), [(4_097, 422), (1_000_000, 413)])
def test_too_much_is_refused(server: RunningServer, path: str, characters: int, status: int) -> None:
    text = "a" * characters
    body = [text] if path == "/stream/chunks" else {"text": text}
    answer = httpx.post(server.url + path, json=body, timeout=60)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_more_texts_than_may_be_are_refused(server: RunningServer) -> None:
    assert httpx.post(f"{server.url}/stream/chunks", json=["Hi."] * 257).status_code == 422


@pytest.mark.parametrize(("path", "most"), [("/stream", "max_message_bytes"), ("/ws", "max_turn_bytes")])
async def test_a_message_that_is_too_long_closes_the_socket_with_1009(
    server: RunningServer, path: str, most: str
) -> None:
    async with connect(url(server, path), proxy=None, max_size=None) as one:
        with pytest.raises(ConnectionClosed):
            await one.send("a" * (getattr(server.settings, most) + 1))
            await one.recv()
        assert one.close_code == 1009


async def test_more_messages_than_may_wait_close_the_socket(server: RunningServer, paced: Paced) -> None:
    async with connect(url(server, "/stream"), proxy=None) as one:
        with pytest.raises(ConnectionClosed):
            for _ in range(100):
                await one.send(json.dumps({"text": LONG}))
            await one.recv()
        assert one.close_code == 1008
    wait_until(lambda: is_idle(server))


@pytest.mark.parametrize(("path", "body"), POSTS, ids=str)
async def test_leaving_stops_it(server: RunningServer, paced: Paced, path: str, body: Any) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        asking = asyncio.create_task(client.post(server.url + path, json=body))
        await asyncio.to_thread(wait_until, lambda: is_speaking(server))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await asyncio.to_thread(wait_until, lambda: is_idle(server))


@pytest.mark.parametrize(("path", "message"), MESSAGES, ids=["Sesame_TTS", "csm-streaming-tf", "csm_tts"])
async def test_leaving_a_socket_stops_it(server: RunningServer, paced: Paced, path: str, message: Any) -> None:
    async with connect(url(server, path), proxy=None) as one:
        await one.send(json.dumps(message))
        await asyncio.to_thread(wait_until, lambda: is_speaking(server))
    await asyncio.to_thread(wait_until, lambda: is_idle(server) and not server.service.listeners)


async def test_where_there_is_no_room_it_says_so(narrow: RunningServer) -> None:
    paced = Paced(narrow.engine)
    try:
        async with connect(url(narrow, "/stream"), proxy=None) as one, httpx.AsyncClient(timeout=60) as client:
            await one.send(json.dumps({"text": LONG, "max_audio_length_ms": 600_000}))
            await asyncio.to_thread(wait_until, lambda: is_speaking(narrow))
            for path, body in POSTS:
                answer = await client.post(narrow.url + path, json=body)
                assert (answer.status_code, answer.json()["error"]["code"]) == (429, "engine_busy"), path
                assert int(answer.headers["retry-after"]) > 0
            async with connect(url(narrow, "/ws"), proxy=None) as other:
                await other.send(json.dumps({"text": "Hello."}))
                told = json.loads(await other.recv())
                assert told["code"] == "engine_busy"
                assert told["retry_after_s"] > 0
    finally:
        paced.stop()
    await asyncio.to_thread(wait_until, lambda: is_idle(narrow))


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_socket_that_says_nothing_is_closed(narrow: RunningServer, path: str) -> None:
    async with connect(url(narrow, path), proxy=None) as one:
        with pytest.raises(ConnectionClosed):
            await one.recv()
        assert one.close_code == 1008
    async with connect(url(narrow, path), proxy=None) as one:
        await one.send("{}")
        await one.recv()
        with pytest.raises(ConnectionClosed):
            await one.recv()
        assert one.close_code == 1000


async def test_the_servers_end_finishes_what_is_said_and_closes_the_sockets(tiny_checkpoint: Path) -> None:
    with running(tiny_checkpoint) as server:
        paced = Paced(server.engine, 0.02)
        async with connect(url(server, "/stream"), proxy=None) as one, connect(url(server, "/ws"), proxy=None) as other:
            await one.send(json.dumps({"text": "Hello there."}))
            await asyncio.to_thread(wait_until, lambda: is_speaking(server))
            assert server.server._loop is not None
            server.server._loop.call_soon_threadsafe(server.server.drain)
            assert "audio_base64" in json.loads(await one.recv())
            for socket_ in (one, other):
                with pytest.raises(ConnectionClosed):
                    await socket_.recv()
                assert socket_.close_code == 1001
        paced.stop()


async def test_nothing_that_is_said_is_logged_or_told_in_errors(server: RunningServer) -> None:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="INFO", format="{message} {extra}")
    try:
        async with httpx.AsyncClient(timeout=60) as client:
            for path, body in POSTS:
                good = [SECRET] if isinstance(body, list) else {**body, "text": SECRET}
                bad = [SECRET * 400] if isinstance(body, list) else {**body, "text": SECRET, "topk": SECRET}
                assert (await client.post(server.url + path, json=good)).status_code == 200
                refused = await client.post(server.url + path, json=bad)
                assert refused.status_code == 422 and "Xylophone" not in refused.text
        for path, message in MESSAGES:
            async with connect(url(server, path), proxy=None) as one:
                wrong = message | {"topk": SECRET, "transcript": SECRET * 400}
                await one.send(json.dumps(wrong))
                assert "Xylophone" not in str(await one.recv())
    finally:
        logger.remove(sink)
    assert sum("/api/generate" in line for line in lines) >= 2
    assert "Xylophone" not in "".join(lines)
