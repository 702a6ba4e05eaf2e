"""The telephone's doors: who gets an answer, and which socket is let in."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from starlette.websockets import WebSocketDisconnect

from agents.telephony.app import create_app
from agents.telephony.calls import Calls
from agents.telephony.signatures import twilio_signature
from csm_plugin.interface import EngineStats
from tests.agents.exchange import PROVIDERS, Reciter
from tests.agents.other_phones import PHONES
from tests.agents.phone import AUTH_TOKEN, PUBLIC_URL, Phone
from tests.scripted_engine import ScriptedEngine

SOCKET_URL = PUBLIC_URL.replace("https", "wss")


class Door:
    """The application, asked as providers do, behind a proxy that changes host and scheme."""

    def __init__(self, *, limit: int = 4, providers: tuple[str, ...] = ("twilio", "telnyx", "plivo")) -> None:
        self.engine = ScriptedEngine()
        self.calls = Calls(limit)
        self.app = create_app(
            self.engine,
            {name: PROVIDERS[name] for name in providers},
            public_url=PUBLIC_URL,
            calls=self.calls,
            brain=lambda: Reciter([]),
        )
        self.client = TestClient(self.app, base_url="http://10.0.0.7:7870")

    def ask(
        self, phone: Phone, *, path: str | None = None, signed: str | None = None, **headers: str | None
    ) -> Response:
        """Ask the webhook; `signed` is the address that the signature is made for."""
        path = path or f"/{phone.provider}/voice"
        body = urlencode(phone.form()).encode()
        proof = phone.sign(signed or PUBLIC_URL + path, body) | {"X-Forwarded-Host": "elsewhere.test"}
        for name, value in headers.items():
            proof = {k: v for k, v in proof.items() if k.lower().replace("-", "_") != name.lower()}
            if value is not None:
                proof[name.replace("_", "-")] = value
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.client.post(path, content=body, headers=proof | kind)

    def media_path(self, phone: Phone) -> str:
        """Announce a call; the path of its socket."""
        return phone.media_url(self.ask(phone).text).removeprefix(SOCKET_URL)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.mark.parametrize("kind", PHONES)
def test_a_signed_webhook_is_told_to_open_a_socket_at_the_public_address(door: Door, kind: type[Phone]) -> None:
    phone = kind("")
    answer = door.ask(phone)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/xml")
    path = phone.media_url(answer.text).removeprefix(SOCKET_URL)
    assert path.startswith(f"/{phone.provider}/media/") and len(path.rpartition("/")[2]) == 48


@pytest.mark.parametrize(
    ("kind", "header"),
    list(zip(PHONES, ["X_Twilio_Signature", "telnyx_signature_ed25519", "X_Plivo_Signature_V3"], strict=True)),
)
@pytest.mark.parametrize("value", [None, "", "bm9uc2Vuc2U=", "\x7f"])
def test_an_unsigned_or_wrongly_signed_webhook_is_refused(
    door: Door, kind: type[Phone], header: str, value: str | None
) -> None:
    answer = door.ask(kind(""), **{header: value})
    assert answer.status_code == 403
    assert AUTH_TOKEN not in answer.text and "bm9uc2Vuc2U" not in answer.text


@pytest.mark.parametrize(
    "signed", ["http://10.0.0.7:7870/twilio/voice", "https://elsewhere.test/twilio/voice", PUBLIC_URL + "/plivo/voice"]
)
def test_only_a_signature_of_the_public_address_counts(door: Door, signed: str) -> None:
    assert door.ask(Phone(""), signed=signed).status_code == 403


def test_the_query_of_a_webhook_is_signed_too(door: Door) -> None:
    assert door.ask(Phone(""), path="/twilio/voice?tenant=a%20b").status_code == 200
    assert door.ask(Phone(""), path="/twilio/voice?tenant=c", signed=f"{PUBLIC_URL}/twilio/voice").status_code == 403


def test_a_provider_that_is_not_set_up_is_unknown() -> None:
    door = Door(providers=("twilio",))
    assert door.ask(Phone("", number=2)).status_code == 200
    assert [door.ask(kind(""), path=f"/{kind.provider}/voice").status_code for kind in PHONES[1:]] == [404, 404]
    assert door.client.post("/nobody/voice").status_code == 404
    assert door.client.get("/twilio/voice").status_code == 405


@pytest.mark.parametrize("kind", PHONES)
def test_a_caller_beyond_the_places_hears_the_busy_signal(kind: type[Phone]) -> None:
    door = Door(limit=2)
    tags = [ElementTree.fromstring(door.ask(kind("", number=n)).text)[0] for n in range(3)]
    assert tags[0].tag == tags[1].tag != tags[2].tag
    assert tags[2].tag in ("Reject", "Hangup") and tags[2].attrib == {"reason": "busy"}


def test_a_caller_hears_the_busy_signal_while_the_engine_is_full(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.engine, "stats", lambda: EngineStats(8, 0, 1, 0, 8))
    assert "busy" in door.ask(Phone("")).text
    monkeypatch.setattr(door.engine, "stats", lambda: EngineStats(8, 0, 0, 0, 8))
    assert "busy" not in door.ask(Phone("")).text


def test_what_is_no_form_or_too_much_of_one_is_refused(door: Door) -> None:
    def post(body: bytes) -> int:
        return door.client.post("/twilio/voice", content=body).status_code

    assert post(b"\xff\xfe") == 422
    assert post(b"a=1&" * 300) == 422
    assert post(b"a" * 70_000) == 413


def test_a_signed_form_without_a_call_is_refused(door: Door) -> None:
    headers = {"X-Twilio-Signature": twilio_signature(AUTH_TOKEN, f"{PUBLIC_URL}/twilio/voice", {"A": ["1"]})}
    assert door.client.post("/twilio/voice", data={"A": "1"}, headers=headers).status_code == 422


def test_it_says_whether_it_takes_calls(door: Door) -> None:
    assert (door.client.get("/live").status_code, door.client.get("/ready").status_code) == (200, 200)
    door.calls.drain()
    assert (door.client.get("/live").status_code, door.client.get("/ready").status_code) == (200, 503)
    assert "busy" in door.ask(Phone("")).text


Change = Callable[[str], str]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path[:-1] + ("0" if path[-1] != "0" else "1"),
        lambda path: path.rpartition("/")[0] + "/" + "0" * 48,
        lambda path: path.replace("twilio", "telnyx"),
        lambda path: path.replace("twilio", "nobody"),
    ],
)
def test_a_socket_without_its_token_is_refused_before_it_is_accepted(door: Door, change: Change) -> None:
    path = change(door.media_path(Phone("")))
    with pytest.raises(WebSocketDisconnect), door.client.websocket_connect(path, headers=signed(path)):
        pass


def test_a_twilio_socket_that_is_not_signed_for_its_public_address_is_refused_and_keeps_its_token(door: Door) -> None:
    path = door.media_path(Phone(""))
    for headers in ({}, signed(path + "/"), signed(path, base=PUBLIC_URL), signed(path, base="ws://10.0.0.7:7870")):
        with pytest.raises(WebSocketDisconnect), door.client.websocket_connect(path, headers=headers):
            pass
    with door.client.websocket_connect(path, headers=signed(path)) as socket:
        socket.close()


@pytest.mark.parametrize(
    "start",
    [
        '{"event":"connected","protocol":"Call","version":"1.0.0"}',
        '{"event":"start","start":{"streamSid":"MZ1","callSid":"CA-another"}}',
        '{"event":"start","start":{"callSid":"CA00000000000000000000000000000001"}}',
        '{"event":"start","start":7}',
        '{"event":"start","start":{"callSid":"\\ud800"}}',
        "[" * 50_000,
        "null",
        "nonsense",
    ],
)
def test_a_socket_that_does_not_start_the_announced_call_is_closed(door: Door, start: str) -> None:
    path = door.media_path(Phone(""))
    with door.client.websocket_connect(path, headers=signed(path)) as socket:
        for _ in range(3):
            socket.send_text(start)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 1008
    assert door.engine.conversations == []


def test_a_socket_that_says_nothing_is_closed_in_time(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.telephony.call.START_TIMEOUT_S", 0.05)
    path = door.media_path(Phone(""))
    with (
        door.client.websocket_connect(path, headers=signed(path)) as socket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        socket.receive_text()
    assert closed.value.code == 1008


def signed(path: str, base: str = SOCKET_URL) -> dict[str, str]:
    return {"X-Twilio-Signature": twilio_signature(AUTH_TOKEN, base + path, {})}
