"""What a client of `/v1/stream` may leave with the server, and that a full server still takes what empties it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.server.socket import talk
from csm_plugin.server.socket.sender import Sender
from csm_plugin.settings import FRAME_SAMPLES
from tests.server.running import RunningServer, running
from tests.server.socket_client import CODES, HEADER, SOUND, Heard, client

LONG = {"seed": 5, "max_seconds": 60, "trim_silence": False}
SHORT = {"seed": 5, "max_seconds": 0.32, "trim_silence": False}
LONG_TEXT = "This is a long text that goes on for as long as the test needs it to, and then some more. " * 4


WINDOW = 5
NARROW = 2_048
"""Bytes that a conversation may have on its way up."""


@pytest.fixture
def narrow(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint, max_turn_bytes=NARROW) as server:
        yield server


async def test_a_client_that_owes_too_much_can_still_make_room(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1, window=WINDOW)
        await one.send("speak", conversation=1, number=1, text=LONG_TEXT, sampling=LONG)
        for number in range(2, 142):
            await one.send("speak", conversation=1, number=number, text="More.", sampling=SHORT)
        await one.until("failed", number=141)
        heard = one.heard.setdefault((1, 1), Heard())
        while (sent := len(heard.pcm)) < 2 * FRAME_SAMPLES * WINDOW:
            await one.receive()
        await one.send("taken", conversation=1, number=1, frames=sent // (2 * FRAME_SAMPLES))
        while len(heard.pcm) == sent:
            await one.receive()
        await one.send("interrupt", conversation=1)
        assert (await one.until("ended", number=1))["reason"] == "cancelled"
        await one.until("done", number=128)
        assert (await one.say(1, 200, "Again.", sampling=SHORT)).done


async def test_packets_without_sound_count_too(narrow: RunningServer) -> None:
    async with client(narrow.ws) as one:
        await one.send("open", conversation=1)
        for number in range(NARROW // HEADER.size + 2):
            await one.socket.send(HEADER.pack(SOUND, 0, 0, 1, number, 0))
        failed = await one.until("failed")
        assert "on their way up" in failed["error"]["message"]


async def test_all_conversations_together_have_a_bound(narrow: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "MAX_TURNS_UP", 2)
    async with client(narrow.ws) as one:
        for conversation in (1, 2, 3):
            await one.send("open", conversation=conversation)
            await one.upload(conversation, 1, bytes(NARROW - 100))
        failed = await one.until("failed", conversation=3)
        assert failed["error"]["code"] == "engine_busy"
        await one.send("listen", conversation=1, number=1, text="Hm.")
        await one.until("heard", number=1)
        await one.upload(3, 2, bytes(NARROW - 100))
        await one.send("listen", conversation=3, number=2, text="Hm.")
        assert (await one.until("heard", number=2))["error"] is None
        await one.upload(3, 3, bytes(100))
        for conversation in (2, 3):
            await one.send("close", conversation=conversation)
            await one.until("closed", conversation=conversation)
        assert narrow.service.uploaded_bytes == 0


async def test_what_is_recalled_is_no_more_than_the_context_holds(server: RunningServer) -> None:
    codes = np.ones((server.engine._model.positions // 3, 8), "<u2").tobytes()
    async with client(server.ws) as one:
        await one.send("open", conversation=1, ledger=True)
        for number in range(1, 6):
            await one.upload(1, number, codes, kind=CODES)
            recalled = {"text": "Hm.", "speaker": 1, "lead": 0, "words": [], "current": False}
            await one.send("recall", conversation=1, number=number, **recalled)
        await one.say(1, 9, "Yes?", sampling=SHORT)
        context = next(told for told in reversed(one.messages) if told["type"] == "context")
        assert context["used"] <= context["positions"]
        assert [held["number"] for held in context["segments"]][-1] == 9


async def test_a_conversation_whose_messages_cannot_be_told_is_closed(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise KeyError("of what was spoken")

    monkeypatch.setattr(Sender, "_tell_sound", fail)
    async with client(server.ws) as one:
        await one.send("open", conversation=1)
        await one.send("speak", conversation=1, number=1, text="Hello.", sampling=SHORT)
        closed = await one.until("closed", conversation=1)
        assert "KeyError" in closed["error"]["message"]
        monkeypatch.undo()
        await one.send("open", conversation=2)
        assert (await one.say(2, 1, "Hello.", sampling=SHORT)).done
