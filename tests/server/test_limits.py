"""Whatever is sent, the server answers in kind, in time, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from csm_plugin.engine import conversation as engine_conversation
from csm_plugin.protocol.messages import CLIENT
from csm_plugin.server.shared.settings import ServerSettings
from tests.server.running import PATIENCE_S, LoopClock, RunningServer, running, wait_until
from tests.server.socket_client import client

# Python 3.11 may fail to parse a module where another thread takes over meanwhile (cpython#106905), and pytest parses
# schemathesis's when they are first imported: here, before any server runs.
importlib.import_module("schemathesis.specs.openapi.schemas")

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
TWENTY = {"seed": 5, "max_seconds": 1.6, "trim_silence": False}


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    """A server whose utterances are short, whatever their text."""
    patch = pytest.MonkeyPatch()
    patch.setattr(engine_conversation, "longest_utterance", lambda text, max_seconds: 5)
    with running(tiny_checkpoint, max_connections=100) as server:
        yield server
    patch.undo()


@pytest.fixture(scope="module")
def impatient(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    """A server that waits for nobody."""
    with running(tiny_checkpoint, start_s=0.5, idle_s=0.7, ping_s=0.4, stall_s=0.5) as server:
        yield server


@pytest.fixture(scope="module")
def timed(tiny_checkpoint: Path) -> Iterator[tuple[RunningServer, LoopClock]]:
    """A server that waits for nobody, and the only clock that it knows."""
    with running(tiny_checkpoint, loop="asyncio", start_s=0.5, idle_s=0.7, ping_s=60) as server:
        clock = LoopClock(server)
        yield server, clock
        clock.let_go()


def resident_mib() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096 / 2**20


OPERATIONS = [
    ("GET", "/live"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{id}"),
    ("GET", "/v1/audio/models"),
    ("GET", "/v1/audio/voices"),
    ("POST", "/v1/audio/voices"),
    ("DELETE", "/v1/audio/voices/{name}"),
    ("GET", "/v1/audio/voice_consents"),
    ("POST", "/v1/audio/voice_consents"),
    ("GET", "/v1/audio/voice_consents/{id}"),
    ("POST", "/v1/audio/voice_consents/{id}"),
    ("DELETE", "/v1/audio/voice_consents/{id}"),
    ("GET", "/v1/stream/schema.json"),
    ("GET", "/v1/voices"),
    ("POST", "/v1/voices"),
    ("DELETE", "/v1/voices/{name}"),
    ("POST", "/v1/audio/speech"),
    ("GET", "/health"),
    ("GET", "/api/voices"),
    ("POST", "/api/generate"),
    ("POST", "/api/stream"),
    ("POST", "/generate"),
    ("POST", "/generate/wav"),
    ("POST", "/stream/chunks"),
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=" ".join)
def test_the_published_surface_holds_what_it_promises(server: RunningServer, method: str, path: str) -> None:
    published = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    published.config.update(base_url=server.url)
    assert sum(1 for _ in published.get_all_operations()) == len(OPERATIONS)

    @settings(FUZZ, max_examples=25)
    @given(case=published[path][method].as_strategy())
    def hold(case: Any) -> None:
        # What is valid text or a file of sound is more than a schema can say.
        case.call_and_validate(excluded_checks=[positive_data_acceptance] if method == "POST" else [])

    hold()


def junk() -> st.SearchStrategy[Any]:
    """Values of any kind and size, the odd ones more often."""
    odd = st.sampled_from([None, True, -1, 0, 2**31, 2**63, 10**300, 1e308, "", "\x00", "🙂", "../x", "a" * 300])
    leaf = odd | st.text(max_size=20) | st.integers() | st.floats(allow_nan=True)
    return st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


def messages() -> st.SearchStrategy[str | bytes]:
    """Things that look like messages, more or less."""
    kinds = [model.model_fields["type"].default for model in CLIENT._type.__args__[0].__args__]  # type: ignore[attr-defined]
    fields = ["number", "piece", "text", "voice", "speaker", "sampling", "heard_s", "frames", "window", "sample_rate"]
    built = st.fixed_dictionaries(
        {"type": st.sampled_from([*kinds, "nonsense"]), "conversation": st.sampled_from([1, 1, 1, 2]) | junk()},
        optional={field: st.integers(0, 30) | junk() for field in fields},
    )
    return built.map(json.dumps) | st.text(max_size=50) | st.binary(max_size=80) | junk().map(json.dumps)


@FUZZ
@given(sent=st.lists(messages(), min_size=1, max_size=40))
def test_a_socket_takes_anything_and_closes_with_a_reason_or_goes_on(
    server: RunningServer, sent: list[str | bytes]
) -> None:
    async def talk() -> int | None:
        async with client(server.ws) as one:
            await one.send("open", conversation=1)
            with contextlib.suppress(ConnectionClosed):
                for message in sent:
                    await one.socket.send(message)
                await one.send("ping")
                await one.until("pong")
            return one.socket.close_code

    assert asyncio.run(asyncio.wait_for(talk(), 30)) in (None, CloseCode.POLICY_VIOLATION, CloseCode.INVALID_DATA)


def asked() -> st.SearchStrategy[str | bytes]:
    """Things that look like messages to the drop-in sockets, more or less."""
    texts = ["text", "audio", "transcript", "response_text"]
    numbers = ["speaker", "speaker_id", "max_audio_length_ms", "temperature", "topk", "watermark", "watermark_key"]
    built = st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(["Hi.", "UklGRg=="]) | junk() for name in texts}
        | {name: st.integers(0, 100) | junk() for name in numbers},
    )  # fmt: skip
    return built.map(json.dumps) | st.text(max_size=50) | st.binary(max_size=80) | junk().map(json.dumps)


@pytest.mark.parametrize("path", ["/ws", "/stream"])
def test_a_drop_in_socket_answers_anything_and_goes_on(server: RunningServer, path: str) -> None:
    async def talk(sent: list[str | bytes]) -> None:
        async with connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, max_size=None) as one:
            for message in sent:
                await one.send(message)
                answer = await one.recv()
                while isinstance(answer, str) and "audio_chunk" in json.loads(answer):
                    answer = await one.recv()
                if isinstance(answer, str):
                    assert json.loads(answer).keys() & {"error", "audio_base64", "status"}
            await one.send(json.dumps({"text": "Hello."}))
            assert await one.recv()

    @settings(FUZZ, max_examples=25)
    @given(sent=st.lists(asked(), min_size=1, max_size=10))
    def hold(sent: list[str | bytes]) -> None:
        asyncio.run(asyncio.wait_for(talk(sent), 60))

    hold()
    wait_until(lambda: server.engine.stats().conversations == 0)


HALF = "\ud83d"
"""Half an emoji."""

BODIES = {
    "nested": (b'{"input": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", 422),
    "bad UTF-8": (b'{"input": "\xff\xfe"}', 400),
    "a lone surrogate": (b'{"input": "\\ud800"}', 422),
    "NaN": (b'{"input": "Hello.", "speed": NaN}', 422),
    "a huge number": (b'{"input": "Hello.", "seed": 1' + b"0" * 6_000 + b"}", 422),
    "no JSON": (b"input=Hello", 400),
    "a list": (b"[]", 422),
    "nothing": (b"", 422),
    "4,096 characters": (json.dumps({"input": "a " * 2_048}).encode(), 200),
    "4,096 characters of 12 bytes": (json.dumps({"input": "a🙂" * 2_048}).encode(), 200),
    "4,097 characters": (json.dumps({"input": "a" * 4_097}).encode(), 422),
    "1 MB": (b'{"input": "' + b"a" * 1_000_000 + b'"}', 413),
    "10 MB": (b'{"input": "' + b"a" * 10_000_000 + b'"}', 413),
}


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES)
def test_a_body_of_any_kind_is_answered_in_kind(server: RunningServer, body: bytes, status: int) -> None:
    before = resident_mib()
    answer = httpx.post(
        f"{server.url}/v1/audio/speech", content=body, headers={"Content-Type": "application/json"}, timeout=60
    )
    grown = resident_mib() - before
    print(f"{len(body):,} bytes: {answer.status_code}, memory grew by {grown:.1f} MiB")
    assert answer.status_code in (status, 400 if status == 422 else status)
    if status != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert httpx.get(f"{server.url}/ready").status_code == 200


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(server: RunningServer) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1_000):
            yield b" " * 10_000

    try:
        answer = httpx.post(
            f"{server.url}/v1/audio/speech", content=endless(), headers={"Content-Type": "application/json"}
        )
    except httpx.WriteError:
        return  # closed while it was still being sent
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/v1/models", "/v1/stream"])
def test_a_megabyte_of_headers_is_431(server: RunningServer, path: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        with contextlib.suppress(OSError):
            plain.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nX: ".encode() + b"a" * 1_000_000)
        answer = b""
        with contextlib.suppress(OSError):
            answer = plain.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"error"' in answer


@pytest.mark.parametrize("request_line", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/x\r\n\r\n"], ids=repr)
def test_what_is_no_http_is_400(server: RunningServer, request_line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(request_line)
        assert plain.recv(4_096).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "order",
    [{HALF: 1}, {"input": HALF}, {"voice": HALF}, {"voice": {"id": HALF}}, {"model": HALF}, {"user": HALF},
     {"instructions": HALF}, {"response_format": HALF}, {"lang_code": HALF}, {"volume_multiplier": {HALF: HALF}}],
    ids=str,
)  # fmt: skip
def test_half_an_emoji_in_any_field_is_answered_in_kind(server: RunningServer, order: dict[str, Any]) -> None:
    body = json.dumps({"input": "Hello."} | order).encode()
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{server.url}/v1/audio/speech", content=body, headers=headers, timeout=60)
    assert answer.status_code in (200, 400, 404, 422)
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", ["/api/generate", "/api/stream", "/generate", "/generate/wav", "/stream/chunks"])
@pytest.mark.parametrize("order", [{HALF: 1}, {"text": HALF}, {"voice": HALF}, {"text": f"Hello {HALF}"}], ids=str)
def test_half_an_emoji_in_any_field_of_a_drop_in_route_is_too(
    server: RunningServer, path: str, order: dict[str, Any]
) -> None:
    body = json.dumps({"text": "Hello."} | order).encode()
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(server.url + path, content=body, headers=headers, timeout=60)
    assert answer.status_code in (200, 422)
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/voices/..%2f..%2fetc%2fpasswd", "/%00", "/v1//models", "//x"])
def test_a_path_that_is_none_is_404(server: RunningServer, path: str) -> None:
    answer = httpx.get(server.url + path)
    assert answer.status_code in (404, 405)
    assert "error" in answer.json()


async def test_invalid_utf_8_closes_a_socket_with_1007(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.socket.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            while True:
                await one.receive()
        assert one.socket.close_code == CloseCode.INVALID_DATA


async def test_uploads_of_a_conversation_are_bounded(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1)
        before = resident_mib()
        for _ in range(20):
            await one.upload(1, 1, bytes(2**20))
        failed = await one.until("failed")
        assert failed["error"]["code"] == "bad_input"
        print(f"20 MiB sent up, memory grew by {resident_mib() - before:.1f} MiB")
        assert resident_mib() - before < 48


async def test_a_socket_that_says_nothing_is_closed_in_time(impatient: RunningServer) -> None:
    began = time.monotonic()
    async with client(impatient.ws) as one:
        with pytest.raises(ConnectionClosed):
            await one.receive()
            await one.receive()
        assert one.socket.close_code == 1008
        assert time.monotonic() - began > 0.4


async def test_an_idle_socket_is_closed_and_a_speaking_one_is_not(impatient: RunningServer) -> None:
    async with client(impatient.ws) as one:
        await one.send("open", conversation=1)
        await one.send("speak", conversation=1, number=1, text="Hello there.", sampling=TWENTY | {"max_seconds": 20})
        began = time.monotonic()
        with pytest.raises(ConnectionClosed):
            while True:
                await one.receive()
        assert one.heard[1, 1].done
        assert one.socket.close_code == 1000
        assert time.monotonic() - began > 0.7


async def test_a_ping_keeps_a_socket_open(timed: tuple[RunningServer, LoopClock]) -> None:
    server, clock = timed
    async with client(server.ws) as one:
        for _ in range(4):
            await one.send("ping")
            await one.until("pong")
            clock.go_on(0.6)
        await one.send("ping")
        await one.until("pong")


def test_a_connection_that_sends_half_a_head_is_closed_in_time(impatient: RunningServer) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", impatient.port)) as plain:
        plain.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n")
        plain.settimeout(PATIENCE_S)
        assert plain.recv(100) == b""
    assert time.monotonic() - began > 0.4


def test_a_connection_that_sends_half_a_second_head_is_closed_in_time(impatient: RunningServer) -> None:
    """Once a request was answered, the rest of the next one was waited for without end."""
    with socket.create_connection(("127.0.0.1", impatient.port)) as plain:
        plain.settimeout(PATIENCE_S)
        plain.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert plain.recv(4_096).startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        plain.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n")
        assert plain.recv(100) == b""
    assert time.monotonic() - began > 0.4


def test_a_connection_may_be_used_again_and_again(timed: tuple[RunningServer, LoopClock]) -> None:
    server, clock = timed
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        for _ in range(5):
            connection.request("GET", "/live")
            assert connection.getresponse().read() == b'{"status":"live"}'
            clock.go_on(0.4)


def test_a_body_that_does_not_go_on_is_408(impatient: RunningServer) -> None:
    """A peer that went away while it sent its body held its connection for ever."""
    with socket.create_connection(("127.0.0.1", impatient.port)) as plain:
        plain.settimeout(PATIENCE_S)
        head = (
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        )
        plain.sendall(head + b'{"input": ')
        answer = plain.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"error"' in answer


async def test_a_dead_peer_is_found(impatient: RunningServer) -> None:
    """A peer that is there no more answers no pings; this one does not read them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
    writer.write(
        b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x81\x8f\x00\x00\x00\x00" + b'{"type":"ping"}')
    await asyncio.to_thread(wait_until, lambda: impatient.service.listeners)
    found_s = await asyncio.to_thread(wait_until, lambda: not impatient.service.listeners)
    print(f"found after {found_s:.2f} s with pings every 0.4 s")
    writer.close()


def test_a_reader_who_takes_nothing_is_cut_off_in_time(impatient: RunningServer) -> None:
    order = json.dumps({"input": "A long text. " * 300, "response_format": "pcm"}).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(order)}\r\n"
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        plain.connect(("127.0.0.1", impatient.port))
        plain.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + order)
        wait_until(lambda: impatient.service.live > 0)
        took_s = wait_until(lambda: impatient.service.live == 0)
    print(f"cut off {took_s:.1f} s after the start")
    wait_until(lambda: impatient.engine.stats().live_rows == 0)


def test_a_form_field_is_no_way_around_the_limit(server: RunningServer) -> None:
    most = ServerSettings().max_upload_bytes
    answer = httpx.post(f"{server.url}/v1/voices", data={"name": "x", "text": "a" * (most + 100_000)}, timeout=60)
    assert answer.status_code == 413
