"""The agent's web application, asked without a browser."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from agents.webrtc import create_app
from tests.scripted_engine import ScriptedEngine

BODIES = [{}, {"sdp": "x"}, {"type": "offer"}, {"sdp": "x", "type": "offer", "more": 1}, [], 3]
SDP = ["", "x", "v=0\r\n", "v=0\r\nm=audio", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"]


@pytest.fixture
def client() -> TestClient:
    return TestClient(create_app(ScriptedEngine(), voice="ann"))


def test_the_page_and_its_parts_come_from_this_server_alone(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    for part in ("page.css", "page.js"):
        assert part in page.text
        assert client.get(f"/{part}").status_code == 200
        assert "http" not in client.get(f"/{part}").text
    assert "http" not in page.text


def test_pipecats_own_page_is_there_too(client: TestClient) -> None:
    assert "Pipecat" in client.get("/client/").text
    assert client.post("/start", json={"transport": "webrtc"}).json()["sessionId"]


def test_the_status_tells_the_model_and_the_voice(client: TestClient) -> None:
    assert client.get("/status").json() == {
        "status": "ready",
        "transports": ["webrtc"],
        "model": "scripted",
        "voice": "ann",
    }


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", ["/api/offer", "/sessions/an-id/api/offer"])
def test_what_is_no_offer_is_refused(client: TestClient, path: str, body: object) -> None:
    assert client.post(path, json=body).status_code == 422


@pytest.mark.parametrize("sdp", SDP)
@pytest.mark.parametrize("kind", ["offer", "answer", "rumour"])
def test_a_description_that_makes_no_sense_is_refused(client: TestClient, sdp: str, kind: str) -> None:
    assert client.post("/api/offer", json={"sdp": sdp, "type": kind}).status_code == 422


def test_what_is_no_json_is_refused(client: TestClient) -> None:
    assert client.post("/api/offer", content=b"hello").status_code == 422


def test_a_candidate_for_an_unknown_call_is_refused(client: TestClient) -> None:
    assert client.patch("/api/offer", json={"pc_id": "nobody", "candidates": []}).status_code == 404
    assert client.patch("/api/offer", json={"candidates": []}).status_code == 422
