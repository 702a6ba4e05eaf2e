"""Microsoft Edge's speech service on this machine, for the package `edge-tts` to talk to.

It reads and writes the messages that the package's own parser takes: text messages with headers and `Path`, and binary
ones with the length of their headers in front. Each text is spoken as a second of a tone.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import edge_tts.communicate
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from csm_plugin.server.formats.encoders import encoder

TONE_HZ = 440
PIECE_BYTES = 720
SSML = re.compile(r"<voice name='(?P<voice>[^']+)'>.*<prosody [^>]+>(?P<text>.*)</prosody>")
REQUEST_ID = "X-RequestId:4ef8d2c9a1d04e3b8f6a7c5b2e1d0f9a\r\n"


class EdgeService:
    """What was asked of it, and how it behaves.

    Attributes:
        asked: texts, and the voices' full names.
        fails: it `refuses` connections, or is `silent`.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fails: str | None = None
        self._sound = mp3(1.0)

    @property
    def texts(self) -> list[str]:
        """What it was asked to speak."""
        return [text for text, _ in self.asked]

    def refuse(self, connection: ServerConnection, _request: Request) -> Response | None:
        """Answer a connection that is not wanted."""
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "") if self.fails == "refuses" else None

    def talk(self, socket: ServerConnection) -> None:
        """Speak one text."""
        config, ssml = str(socket.recv()), str(socket.recv())
        assert "Path:speech.config\r\n" in config and "audio-24khz-48kbitrate-mono-mp3" in config
        assert "Path:ssml\r\n" in ssml
        asked = SSML.search(ssml)
        assert asked is not None, ssml
        self.asked.append((asked["text"], asked["voice"]))
        if self.fails == "silent":
            with suppress(ConnectionClosed):
                socket.recv()
            return
        socket.send(f"{REQUEST_ID}Content-Type:application/json\r\nPath:turn.start\r\n\r\n{{}}")
        socket.send(f"{REQUEST_ID}Content-Type:application/json\r\nPath:response\r\n\r\n{{}}")
        for start in range(0, len(self._sound), PIECE_BYTES):
            socket.send(_binary("Content-Type:audio/mpeg\r\n", self._sound[start : start + PIECE_BYTES]))
        socket.send(_binary("", b""))
        spoken = {"Offset": 1_000_000, "Duration": 9_000_000, "text": {"Text": asked["text"], "Length": 1}}
        metadata = json.dumps({"Metadata": [{"Type": "SentenceBoundary", "Data": spoken}]})
        socket.send(f"{REQUEST_ID}Content-Type:application/json\r\nPath:audio.metadata\r\n\r\n{metadata}")
        socket.send(f"{REQUEST_ID}Path:turn.end\r\n\r\n{{}}")


@contextmanager
def edge_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[EdgeService]:
    """Let `edge-tts` find the service here."""
    service = EdgeService()
    with serve(service.talk, "127.0.0.1", 0, process_request=service.refuse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/edge/v1?TrustedClientToken=x"
        monkeypatch.setattr(edge_tts.communicate, "WSS_URL", url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield service
        server.shutdown()
        thread.join()


def mp3(seconds: float) -> bytes:
    """A tone at 24 kHz, as the service sends sound."""
    tone = (0.3 * np.sin(np.arange(int(24_000 * seconds)) * 2 * np.pi * TONE_HZ / 24_000)).astype(np.float32)
    made = encoder("mp3")
    return made.encode(tone) + made.finish()


def _binary(content_type: str, data: bytes) -> bytes:
    headers = f"{REQUEST_ID}{content_type}X-StreamId:1\r\nPath:audio\r\n".encode()
    return len(headers).to_bytes(2, "big") + headers + data
