"""Who finds no room is refused before anything is done for them, and who only dawdles takes no room."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from csm_plugin.server.app import create_app
from csm_plugin.server.guards.admission import SPEAKING
from tests.server.running import RunningServer, running, settings, wait_until

HEAD = (
    b"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
)


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    """A server with room for two: one row, one place in the queue."""
    with running(tiny_checkpoint, max_conversations=1, max_queue=1) as server:
        yield server


@contextlib.contextmanager
def full(server: RunningServer) -> Iterator[None]:
    """Fill its room while the block runs."""
    go_on = threading.Event()
    stepper = server.engine._scheduler.live_batch.stepper
    launch = stepper.launch

    def held(*rows: Any) -> Any:
        go_on.wait(60)
        return launch(*rows)

    stepper.launch = held  # type: ignore[method-assign]
    speaking = [threading.Thread(target=server.speak) for _ in range(2)]
    try:
        for thread in speaking:
            thread.start()
        wait_until(lambda: server.service.is_full)
        yield
    finally:
        go_on.set()
        stepper.launch = launch  # type: ignore[method-assign]
        for thread in speaking:
            thread.join()


def test_its_paths_are_all_on_which_there_may_be_no_room() -> None:
    paths = create_app(settings()).openapi()["paths"]
    told = {path for path, methods in paths.items() for method in methods.values() if "429" in method["responses"]}
    assert told == SPEAKING


@pytest.mark.parametrize("path", sorted(SPEAKING))
def test_without_room_no_body_is_read(server: RunningServer, path: str) -> None:
    with full(server), socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(HEAD.replace(b"/v1/audio/speech", path.encode()) + b"Expect: 100-continue\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += plain.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: " in answer
    assert b'"code":"engine_busy"' in answer
    assert f'csm_requests_total{{route="{path}",status="429"}}' in httpx.get(f"{server.url}/metrics").text


def test_what_needs_no_room_is_answered_all_the_same(server: RunningServer) -> None:
    with full(server):
        assert httpx.get(f"{server.url}/v1/models").status_code == 200
        assert httpx.get(f"{server.url}/ready").status_code == 200


def test_half_sent_requests_take_no_room(server: RunningServer) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(10):
            slow = opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            slow.sendall(HEAD + b"\r\n" + b'{"input": ')
        assert server.speak(response_format="pcm").status_code == 200


def test_room_is_given_back_however_a_request_ends(server: RunningServer) -> None:
    for order in ({}, {"input": "…"}, {"model": "gpt-9"}, {"speed": 9}):
        for _ in range(3):
            server.speak(**order)
    order = json.dumps({"input": "A long text. " * 50}).encode()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as leaving:
            leaving.sendall(HEAD.replace(b"1000", str(len(order)).encode()) + b"\r\n" + order)
    wait_until(lambda: server.speak(response_format="pcm").status_code == 200)


def test_one_connection_too_many_is_told_when_to_come_back(tiny_checkpoint: Path) -> None:
    """It got a plain text without a Retry-After, and so did whoever asked whether the server lives."""
    with running(tiny_checkpoint, max_connections=5) as server, contextlib.ExitStack() as opened:
        for _ in range(5):
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        answer = httpx.get(f"{server.url}/v1/models")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_many_connections")
        assert int(answer.headers["Retry-After"]) >= 1
        assert httpx.get(f"{server.url}/live").status_code == 200
        opened.close()
        wait_until(lambda: httpx.get(f"{server.url}/v1/models").status_code == 200)
