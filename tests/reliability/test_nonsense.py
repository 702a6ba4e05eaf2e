"""Messages that make no sense: the socket closes with a reason or goes on, and the server serves."""

from __future__ import annotations

import contextlib
import json
import random
import string
from collections import Counter
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from csm_plugin.protocol.messages import CLIENT
from tests.server.running import RunningServer
from tests.server.socket_client import client

KINDS = [kind.model_fields["type"].default for kind in CLIENT._type.__args__[0].__args__]  # type: ignore[attr-defined]
ODD = [None, True, -1, 0, 1, 2**31, 2**63, 10**300, 1e308, float("nan"), float("inf"), "", "\x00", "\ud800", "🙂",
       "../x", "a" * 300, [], {}, [[]], {"a": None}]  # fmt: skip
FIELDS = ["number", "piece", "text", "voice", "speaker", "sampling", "heard_s", "frames", "window", "encoding", "words"]


def nonsense(chance: random.Random) -> str | bytes:
    """A message that is more or less like one."""
    kind = chance.random()
    if kind < 0.1:
        return chance.randbytes(chance.randrange(80))
    if kind < 0.2:
        return "".join(chance.choices(string.printable, k=chance.randrange(60)))
    if kind < 0.25:
        depth = chance.randrange(1, 30_000)
        return '{"type": "open", "conversation": ' + "[" * depth + "]" * depth + "}"
    fields: dict[str, Any] = {"type": chance.choice([*KINDS, "nonsense"]), "conversation": 1}
    for field in chance.sample(FIELDS, chance.randrange(4)):
        fields[field] = chance.choice([*ODD, 1, 2, "Hello."])
    if fields["type"] in ("speak", "append", "commit", "cancel") and chance.random() < 0.5:
        fields = {"type": fields["type"], "conversation": 1, "number": chance.randrange(3), "text": "Hi."}
        for absent in ("text",) if fields["type"] in ("commit", "cancel") else ():
            del fields[absent]
    return json.dumps(fields)


@pytest.mark.parametrize("count", [400, pytest.param(2_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
async def test_messages_of_nonsense(server: RunningServer, count: int) -> None:
    chance, closed, sent = random.Random(6), Counter[int | None](), 0
    while sent < count:
        async with client(server.ws) as one:
            with contextlib.suppress(ConnectionClosed):
                await one.send("open", conversation=1, sampling={"max_seconds": 0.2})
                while sent < count:
                    sent += 1
                    await one.socket.send(nonsense(chance))
                    await one.send("ping")
                    await one.until("pong")
        closed[one.socket.close_code] += 1
    codes = ", ".join(f"{count} with {code}" for code, count in sorted(closed.items(), key=str))
    print(f"{sent:,} messages; sockets closed: {codes}; no other end, and it still serves")
    assert set(closed) <= {1000, 1007, 1008}
    assert closed[1008] > count // 10
    assert server.speak(response_format="pcm").status_code == 200


async def test_a_depth_of_150_000_is_refused(server: RunningServer) -> None:
    deep = "[" * 150_000 + "]" * 150_000
    async with httpx.AsyncClient(timeout=60) as session:
        answer = await session.post(
            f"{server.url}/v1/audio/speech", content=deep, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 413
    async with client(server.ws) as one:
        with pytest.raises(ConnectionClosed):
            await one.socket.send(deep)
            while True:
                await one.receive()
    assert one.socket.close_code == 1009
    assert server.speak(response_format="pcm").status_code == 200
    print("nested 150,000 deep: 413 and 1009; up to 30,000 deep: 422 and 1008")
