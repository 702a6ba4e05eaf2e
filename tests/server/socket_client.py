"""A plain client of `/v1/stream`, written from its description: no code of ours on its side of the wire."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

HEADER = struct.Struct("<BBHIII")
SOUND, CODES, LEAD = 1, 2, 3


@dataclass
class Heard:
    """What came of one number."""

    pcm: bytes = b""
    packets: list[bytes] = field(default_factory=list)
    codes: bytes = b""
    words: list[dict[str, Any]] = field(default_factory=list)
    ended: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False

    @property
    def samples(self) -> np.ndarray:
        """The sound, int16 [samples]."""
        return np.frombuffer(self.pcm, "<i2")


class Client:
    """A socket, and what came over it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.hello: dict[str, Any] = {}
        self.messages: list[dict[str, Any]] = []
        self.heard: dict[tuple[int, int], Heard] = {}

    async def send(self, kind: str, /, **fields: Any) -> None:
        """Send a message."""
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def upload(self, conversation: int, number: int, payload: bytes, kind: int = SOUND) -> None:
        """Send sound or codes up."""
        for start in range(0, len(payload), 32_768):
            head = HEADER.pack(kind, 0, 0, conversation, number, 0)
            await self.socket.send(head + payload[start : start + 32_768])

    async def receive(self) -> dict[str, Any]:
        """Take the next message; of a binary one its header."""
        message = await self.socket.recv()
        if isinstance(message, bytes):
            kind, _, piece, conversation, number, start = HEADER.unpack_from(message)
            heard = self.heard.setdefault((conversation, number), Heard())
            payload = message[HEADER.size :]
            if kind == SOUND:
                heard.pcm += payload
                heard.packets.append(payload)
            elif kind == CODES:
                heard.codes += payload
            return {"type": "binary", "kind": kind, "conversation": conversation, "number": number, "start": start,
                    "piece": piece, "bytes": len(payload)}  # fmt: skip
        told: dict[str, Any] = json.loads(message)
        self.messages.append(told)
        if told["type"] in ("words", "ended", "done"):
            heard = self.heard.setdefault((told["conversation"], told["number"]), Heard())
            if told["type"] == "words":
                heard.words += told["words"]
            elif told["type"] == "ended":
                heard.ended.append(told)
            else:
                heard.done = True
        return told

    async def until(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """Take messages until one fits."""
        while True:
            told = await self.receive()
            if told["type"] == kind and all(told.get(name) == value for name, value in fields.items()):
                return told

    async def say(self, conversation: int, number: int, text: str, **fields: Any) -> Heard:
        """Speak a text to its end."""
        await self.send("speak", conversation=conversation, number=number, text=text, **fields)
        await self.until("done", conversation=conversation, number=number)
        return self.heard[conversation, number]


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[Client]:
    """Connect, and wait for the server's hello."""
    async with connect(url, compression=None, proxy=None, max_size=None, **options) as socket:
        connected = Client(socket)
        connected.hello = await connected.receive()
        yield connected
