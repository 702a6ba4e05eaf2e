"""A client of csm-streaming-tf's server, written from its description, is served."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.server.dropin.sounds import read_base64, tone_wav
from tests.server.running import RunningServer, Stepped, wait_until


def turn(recording: bytes, **fields: Any) -> str:
    coded = base64.b64encode(recording).decode()
    return json.dumps({"audio": coded, "transcript": "How are you?", "response_text": "I am fine."} | fields)


async def reply(socket: ClientConnection) -> list[np.ndarray]:
    """The pieces of a reply, until it is complete."""
    pieces = []
    while True:
        told = json.loads(await socket.recv())
        if told == {"status": "complete"}:
            return pieces
        assert set(told) == {"audio_chunk"}, told
        pieces.append(read_base64(told["audio_chunk"]))


async def test_a_turn_is_replied_to_while_the_reply_is_made(server: RunningServer, stepped: Stepped) -> None:
    stepped.allow(2)
    async with connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as socket:
        await socket.send(turn(tone_wav()))
        first = read_base64(json.loads(await socket.recv())["audio_chunk"])
        assert stepped.made <= 2
        stepped.allow(1_000)
        rest = await reply(socket)
    assert len(first) + sum(map(len, rest)) == stepped.made * 1_920


async def test_the_turn_is_what_the_reply_follows(server: RunningServer) -> None:
    """With the turn in its context, the model is given more to read than with the reply alone."""
    heard: list[tuple[str, int]] = []
    conversation = server.engine.conversation

    def noted(*args: Any) -> Any:
        talk = conversation(*args)
        listen = talk.listen

        def noted_listen(text: str, pcm: Any, **options: Any) -> Any:
            heard.append((text, len(pcm)))
            return listen(text, pcm, **options)

        talk.listen = noted_listen  # type: ignore[method-assign]
        return talk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.engine, "conversation", noted)
        async with connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as socket:
            await socket.send(turn(tone_wav(1.0)))
            assert await reply(socket)
            await socket.send(turn(tone_wav(0.5), transcript=""))
            assert await reply(socket)
    assert [text for text, _ in heard] == ["How are you?", ""]
    assert [samples for _, samples in heard] == pytest.approx([24_000, 12_000], abs=50)


async def test_a_turn_may_be_as_long_as_people_speak(server: RunningServer) -> None:
    """20 s at 48 kHz are 2.6 MB of base64, which is beyond what other messages may have."""
    message = turn(tone_wav(20.0, 48_000))
    assert len(message) > 30 * server.settings.max_message_bytes
    async with connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as socket:
        await socket.send(message)
        assert await reply(socket)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (json.dumps({"transcript": "Hello.", "response_text": "Hi."}), "missing"),
        (turn(tone_wav(), response_text=""), "string_too_short"),
        (turn(tone_wav(), audio="%%%"), "bad_input"),
        (turn(b"no sound at all"), "bad_input"),
        (turn(tone_wav(), extra=1), "extra_forbidden"),
        (turn(tone_wav(), response_text="..."), "bad_text"),
    ],
)
async def test_what_cannot_be_replied_to_is_told_and_the_socket_goes_on(
    server: RunningServer, message: str, code: str
) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as socket:
        await socket.send(message)
        told = json.loads(await socket.recv())
        assert told["code"] == code
        await socket.send(turn(tone_wav()))
        assert await reply(socket)
    wait_until(lambda: server.engine.stats().conversations == 0)
