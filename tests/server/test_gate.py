"""Nobody comes in without a key, from a foreign page, or beyond loopback by accident."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from csm_plugin.errors import SettingsError
from csm_plugin.server.app import create_app
from csm_plugin.server.guards import gate
from csm_plugin.server.shared.settings import read_settings
from tests.server.running import RunningServer, running, settings
from tests.server.socket_client import client

KEY = "correct-horse"
PAGE = "https://app.example"


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint, api_keys=f"other-key, {KEY}", allowed_origins=(PAGE,)) as server:
        yield server


def routes() -> list[tuple[str, str]]:
    """Every route of the app: method and path. The socket is one too, when it is asked for as a page."""
    paths = create_app(settings()).openapi()["paths"]
    told = [(method.upper(), re.sub("{.*}", "x", path)) for path, methods in paths.items() for method in methods]
    sockets = [("GET", path) for path in ("/v1/stream", "/stream", "/ws")]
    return [*told, ("GET", "/openapi.json"), ("HEAD", "/openapi.json"), *sockets, ("GET", "/nothing")]


@pytest.mark.parametrize(("method", "path"), routes(), ids=str)
def test_without_a_key_only_health_is_told(server: RunningServer, method: str, path: str) -> None:
    answer = httpx.request(method, server.url + path)
    if path in ("/live", "/ready", "/health"):
        assert answer.status_code == 200
        return
    assert answer.status_code == 401
    if method != "HEAD":
        assert answer.json()["error"]["code"] == "invalid_api_key"


def test_the_routes_that_were_tried_are_all() -> None:
    assert {path for _, path in routes()} == {
        "/api/generate",
        "/api/stream",
        "/api/voices",
        "/generate",
        "/generate/wav",
        "/health",
        "/live",
        "/ready",
        "/stream",
        "/stream/chunks",
        "/ws",
        "/metrics",
        "/nothing",
        "/openapi.json",
        "/v1/audio/models",
        "/v1/audio/speech",
        "/v1/audio/voice_consents",
        "/v1/audio/voice_consents/x",
        "/v1/audio/voices",
        "/v1/audio/voices/x",
        "/v1/models",
        "/v1/models/x",
        "/v1/stream",
        "/v1/stream/schema.json",
        "/v1/voices",
        "/v1/voices/x",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": "Bearer"},
        {"Authorization": KEY},
        {"Authorization": f"Basic {base64.b64encode(KEY.encode()).decode()}"},
        {"X-API-Key": KEY},
        {"Cookie": f"key={KEY}"},
    ],
    ids=str,
)
def test_a_wrong_key_or_a_key_in_the_wrong_place_is_refused(server: RunningServer, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{server.url}/v1/models", headers=headers)
    assert answer.status_code == 401
    assert KEY not in answer.text


@pytest.mark.parametrize("query", [f"api_key={KEY}", f"key={KEY}", f"token={KEY}", f"access_token={KEY}"])
def test_a_key_in_the_address_is_no_key(server: RunningServer, query: str) -> None:
    assert httpx.get(f"{server.url}/v1/models?{query}").status_code == 401


@pytest.mark.parametrize("key", [KEY, "other-key"])
def test_each_key_opens(server: RunningServer, key: str) -> None:
    assert httpx.get(f"{server.url}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(gate.hmac, "compare_digest", compare)
    keeper = gate.Gate(lambda *_: None, settings(api_keys="a,bb,ccc"))  # type: ignore[arg-type, return-value]
    assert keeper._knows(b"a")
    assert not keeper._knows(b"x" * 1_000)
    assert compared == [(64, 64)] * 6  # every key, whichever fits, and never at its own length


def test_a_body_is_not_read_without_a_key(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert plain.recv(1_000).startswith(b"HTTP/1.1 401 ")


async def test_a_socket_opens_with_a_key_in_its_header_or_protocol(server: RunningServer) -> None:
    coded = base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("=")
    async with client(server.ws, additional_headers={"Authorization": f"Bearer {KEY}"}) as one:
        assert one.hello["type"] == "hello"
    async with client(server.ws, subprotocols=["csm.v1", f"csm.key.{coded}"]) as one:
        assert one.socket.subprotocol == "csm.v1"
    for options in ({}, {"subprotocols": ["csm.v1", "csm.key.d3Jvbmc"]}, {"subprotocols": ["csm.key.%"]}):
        with pytest.raises(InvalidStatus) as refused:
            async with client(server.ws, **options):
                pass
        assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus):
        async with client(f"{server.ws}?api_key={KEY}"):
            pass


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 200), (PAGE, 200), ("https://evil.example", 403), ("null", 403), ("http://app.example", 403)],
)
def test_only_allowed_pages_may_use_it(server: RunningServer, origin: str | None, status: int) -> None:
    headers = {"Authorization": f"Bearer {KEY}"} | ({} if origin is None else {"Origin": origin})
    answer = httpx.get(f"{server.url}/v1/models", headers=headers)
    assert answer.status_code == status
    assert answer.headers.get("access-control-allow-origin") == (PAGE if origin == PAGE else None)


def test_an_allowed_page_is_told_so_before_it_asks(server: RunningServer) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin, status in ((PAGE, 200), ("https://evil.example", 400)):
        answer = httpx.options(f"{server.url}/v1/audio/speech", headers={"Origin": origin, **asked})
        assert answer.status_code == status


STAINLESS = (
    "authorization,content-type,openai-organization,openai-project,x-stainless-arch,x-stainless-lang,x-stainless-os,"
    "x-stainless-package-version,x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,"
    "x-stainless-timeout,x-stainless-helper-method"
)
"""What openai's client for browsers asks to send."""


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/models", "/v1/audio/voices", "/v1/voices"])
def test_openais_client_in_a_browser_is_let_through(server: RunningServer, path: str) -> None:
    """Its own headers failed in the preflight."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": STAINLESS}
    answer = httpx.options(server.url + path, headers={"Origin": PAGE} | asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert set(STAINLESS.split(",")) <= allowed
    refused = httpx.options(server.url + path, headers={"Origin": "https://evil.example"} | asked)
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


APPS = (
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop", "moz-extension://*", "app://obsidian.md",
    "tauri://localhost", "http://tauri.localhost", "capacitor://localhost", "vscode-webview://*", "file://",
)  # fmt: skip


@pytest.fixture(scope="module")
def for_apps(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint, api_keys=KEY, allowed_origins=APPS) as server:
        yield server


@pytest.mark.parametrize(
    ("origin", "comes_in"),
    [
        ("chrome-extension://abcdefghijklmnopabcdefghijklmnop", True),
        ("chrome-extension://anotherextensionanotherextension", False),
        ("moz-extension://9f1d4f0e-0b1c-4b0e-9d0a-2f5a1a2b3c4d", True),
        ("moz-extension://", False),
        ("moz-extension://a/b", False),
        ("app://obsidian.md", True),
        ("app://obsidian.md.evil.example", False),
        ("app://obsidian-md", False),
        ("tauri://localhost", True),
        ("http://tauri.localhost", True),
        ("capacitor://localhost", True),
        ("null", True),
        ("file://", True),
        ("https://evil.example", False),
        ("https://evil.example#tauri://localhost", False),
    ],
)
async def test_extensions_and_desktop_apps_come_in_if_they_are_allowed(
    for_apps: RunningServer, server: RunningServer, origin: str, comes_in: bool
) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    headers = {"Authorization": f"Bearer {KEY}", "Origin": origin}
    for where, welcome in ((for_apps, comes_in), (server, False)):
        async with httpx.AsyncClient(base_url=where.url) as page:
            preflight = await page.options("/v1/audio/speech", headers={"Origin": origin, **asked})
            answer = await page.get("/v1/models", headers=headers)
            without_a_key = await page.get("/v1/models", headers={"Origin": origin})
        assert preflight.status_code == (200 if welcome else 400)
        assert answer.status_code == (200 if welcome else 403)
        assert answer.headers.get("access-control-allow-origin") == (origin if welcome else None)
        assert without_a_key.status_code == (401 if welcome else 403)
        try:
            async with client(where.ws, additional_headers=headers) as one:
                assert one.hello["type"] == "hello"
            assert welcome
        except InvalidStatus:
            assert not welcome


@pytest.mark.parametrize(
    "origin", ["*", "https://*", "http://*.example", "file://*", "chrome-extension:", "chrome-extension://a/b", "://x",
               "moz-extension://*a", "https://name/path", "data:text/html,x", "Null"]
)  # fmt: skip
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(SettingsError, match="allowed_origins"):
        read_settings(allowed_origins=origin, api_keys="a")


@pytest.mark.parametrize("origin", ["null", "file://"])
def test_pages_from_files_need_a_key(origin: str) -> None:
    with pytest.raises(SettingsError, match=r"sandbox.*CSM_API_KEYS"):
        read_settings(allowed_origins=origin)
    assert read_settings(allowed_origins=origin, api_keys="a").allowed_origins == (origin,)


GETS = [(method, path) for method, path in routes() if method == "GET" and path not in ("/v1/stream", "/stream", "/ws")]


@pytest.mark.parametrize("path", [*(path for _, path in GETS), "/", "/page/page.js"])
def test_wherever_there_is_get_there_is_head(server: RunningServer, path: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    full, head = (httpx.request(method, server.url + path, headers=headers) for method in ("GET", "HEAD"))
    assert head.status_code == full.status_code
    assert head.content == b""
    assert head.headers["content-type"] == full.headers["content-type"]
    assert httpx.head(server.url + path).status_code in (200, 401)


async def test_a_foreign_page_opens_no_socket(server: RunningServer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with client(
            server.ws, origin="https://evil.example", additional_headers={"Authorization": f"Bearer {KEY}"}
        ):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}", 200),
        ("localhost:{port}", "http://localhost:{port}", 200),
        ("evil.example:{port}", "http://evil.example:{port}", 403),  # a name that was made to lead here
        ("127.0.0.1:{port}", "http://evil.example", 403),
        ("[::1", "http://[::1", 403),
    ],
)
def test_without_keys_only_pages_of_this_machine_may_use_it(
    tiny_checkpoint: Path, request: pytest.FixtureRequest, host: str, origin: str, status: int
) -> None:
    keyless: RunningServer = request.getfixturevalue("keyless")
    headers = {"Host": host.format(port=keyless.port), "Origin": origin.format(port=keyless.port)}
    assert httpx.get(f"{keyless.url}/v1/models", headers=headers).status_code == status


@pytest.fixture(scope="module")
def keyless(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint) as server:
        yield server


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.com", ""])
def test_without_a_key_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(SettingsError, match="CSM_API_KEYS"):
        read_settings(host=host)
    assert read_settings(host=host, api_keys="a").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_it_needs_none(host: str) -> None:
    assert read_settings(host=host).keys == ()


def test_the_description_says_where_a_key_is_asked_for(server: RunningServer) -> None:
    told = httpx.get(f"{server.url}/openapi.json", headers={"Authorization": f"Bearer {KEY}"}).json()
    assert told["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    free = {path for path, methods in told["paths"].items() for method in methods.values() if "security" not in method}
    assert free == {"/live", "/ready", "/health"}
    assert "security" not in str(create_app(settings()).openapi())
