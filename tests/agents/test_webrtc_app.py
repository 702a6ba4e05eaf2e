"""The agent's web application, asked without a browser."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from aiortc import RTCPeerConnection
from fastapi.testclient import TestClient

from agents.webrtc.app import PAGE, create_app
from tests.scripted_engine import ScriptedEngine

BODIES = [{}, {"sdp": "x"}, {"type": "offer"}, {"sdp": "x", "type": "offer", "more": 1}, [], 3]
SDP = ["", "x", "v=0\r\n", "v=0\r\nm=audio", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"]


@pytest.fixture
def client() -> TestClient:
    return TestClient(create_app(ScriptedEngine(), voice="ann"))


def test_the_page_and_its_parts_come_from_this_server_alone(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    parts = {"page.css", "page.js"}
    assert all(part in page.text for part in parts)
    for script in PAGE.glob("*.js"):
        parts |= set(re.findall(r'from "\./([^"]+)"', script.read_text(encoding="utf-8")))
    assert parts | {"index.html"} == {file.name for file in PAGE.iterdir()}
    for part in parts:
        assert client.get(f"/{part}").status_code == 200
        assert "://" not in client.get(f"/{part}").text
    assert "://" not in page.text


def test_pipecats_own_page_is_there_too(client: TestClient) -> None:
    assert "Pipecat" in client.get("/client/").text
    assert client.post("/start", json={"transport": "webrtc"}).json()["sessionId"]


def test_the_status_tells_the_model_and_the_voice_and_who_answers(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    told = {
        "status": "ready",
        "transports": ["webrtc"],
        "model": "scripted",
        "voice": "ann",
        "llm": None,
        "with_ollama": "OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=llama3.2 make agent",
    }
    assert client.get("/status").json() == told
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    monkeypatch.setenv("OPENAI_MODEL", "llama3.2")
    assert client.get("/status").json() == told | {"llm": "llama3.2"}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", ["/api/offer", "/sessions/an-id/api/offer"])
def test_what_is_no_offer_is_refused(client: TestClient, path: str, body: object) -> None:
    assert client.post(path, json=body).status_code == 422


@pytest.mark.parametrize("sdp", SDP)
@pytest.mark.parametrize("kind", ["offer", "answer", "rumour"])
def test_a_description_that_makes_no_sense_is_refused(client: TestClient, sdp: str, kind: str) -> None:
    assert client.post("/api/offer", json={"sdp": sdp, "type": kind}).status_code == 422


def test_what_is_no_json_or_too_much_of_it_is_refused(client: TestClient) -> None:
    assert client.post("/api/offer", content=b"hello").status_code == 422
    assert client.post("/api/offer", content=b"[" * 100_000).status_code == 422
    assert client.post("/api/offer", content=b" " * 300_000).status_code == 413


@pytest.mark.parametrize("name", [[], {}, 3])
def test_what_is_no_call_is_refused(client: TestClient, name: object) -> None:
    assert client.post("/api/offer", json={"sdp": SDP[-1], "type": "offer", "pc_id": name}).status_code == 422
    assert client.patch("/api/offer", json={"pc_id": name, "candidates": []}).status_code == 422


def test_a_candidate_for_an_unknown_call_is_refused(client: TestClient) -> None:
    assert client.patch("/api/offer", json={"pc_id": "nobody", "candidates": []}).status_code == 404
    assert client.patch("/api/offer", json={"candidates": []}).status_code == 422


async def test_of_callers_who_come_at_once_only_so_many_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.webrtc.app.MAX_SESSIONS", 2)
    engine = ScriptedEngine()
    app = create_app(engine)
    peers = [RTCPeerConnection() for _ in range(5)]
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://agent") as web,
    ):
        offers = [await offer_of(peer) for peer in peers]
        answers = await asyncio.gather(*(web.post("/api/offer", json=offer) for offer in offers))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
        # Who is connected may still change the connection.
        (first, *_) = [(a.json(), o) for a, o in zip(answers, offers, strict=True) if a.status_code == 200]
        again = await web.post("/api/offer", json=first[1] | {"pc_id": first[0]["pc_id"]})
        assert again.status_code == 200
        for candidate in ("nonsense", 7, "candidate:1 1 udp x y z typ"):
            wrong = {"candidate": candidate, "sdp_mid": "0", "sdp_mline_index": 0}
            answer = await web.patch("/api/offer", json={"pc_id": first[0]["pc_id"], "candidates": [wrong]})
            assert answer.status_code == 422
    for peer in peers:
        await peer.close()


async def offer_of(peer: RTCPeerConnection) -> dict[str, str]:
    """An offer to talk, as a browser makes it."""
    peer.addTransceiver("audio")
    await peer.setLocalDescription(await peer.createOffer())
    return {"sdp": peer.localDescription.sdp, "type": peer.localDescription.type}
