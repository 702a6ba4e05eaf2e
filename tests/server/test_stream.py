"""`/v1/stream` carries conversations, as its description says; seen by a client that shares no code with it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from csm_plugin.audio import to_int16
from csm_plugin.settings import FRAME_SAMPLES, Sampling
from tests.server.running import RunningServer, wait_until
from tests.server.socket_client import CODES, client

TWENTY = {"seed": 5, "max_seconds": 1.6, "trim_silence": False}
LONG = {"seed": 5, "max_seconds": 60, "trim_silence": False}
GREEDY = {"temperature": 0, "max_seconds": 1.6, "trim_silence": False}
LONG_TEXT = "This is a long text that goes on for as long as the test needs it to, and then some more. " * 4


def said_by(server: RunningServer, *texts: str) -> np.ndarray:
    """What the engine says by itself, int16 [samples]."""
    sampling = Sampling(**TWENTY)
    with server.engine.conversation(sampling=sampling) as talk:
        return np.concatenate([to_int16(c.pcm) for text in texts for c in talk.speak(text, sampling)])


async def test_the_server_says_hello_and_what_it_is(server: RunningServer) -> None:
    async with client(server.ws, subprotocols=["csm.v1"]) as one:
        assert one.socket.subprotocol == "csm.v1"
        assert one.hello["type"] == "hello"
        assert one.hello["protocol"] == 1
        assert one.hello["model"] == server.engine.model_name
        assert (one.hello["sample_rate"], one.hello["frame_samples"], one.hello["codebooks"]) == (24_000, 1_920, 8)


async def test_a_text_comes_back_as_the_engines_samples(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=7)
        heard = await one.say(7, 1, "Hello there.", sampling=TWENTY)
    assert np.array_equal(heard.samples, said_by(server, "Hello there."))
    assert [(ended["reason"], ended["frames"]) for ended in heard.ended] == [("length", 20)]
    kinds = [message["type"] for message in one.messages if message["type"] != "stats"]
    assert kinds[0:3] == ["hello", "opened", "began"]
    assert kinds[-2:] == ["ended", "done"]


async def test_many_conversations_share_a_socket_and_sound_as_if_alone(server: RunningServer) -> None:
    texts = {number: f"This is conversation number {number}." for number in range(1, 7)}
    async with client(server.ws) as one:
        for number, text in texts.items():
            await one.send("open", conversation=number)
            await one.send("speak", conversation=number, number=1, text=text, sampling=TWENTY)
        for _ in texts:
            await one.until("done")
    for number, text in texts.items():
        alone = said_by(server, text)
        np.testing.assert_allclose(one.heard[number, 1].samples.astype(int), alone, atol=1)


async def test_a_conversation_remembers(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1)
        first = await one.say(1, 1, "One two three.", sampling=TWENTY)
        second = await one.say(1, 2, "Four five six.", sampling=TWENTY)
    together = np.concatenate((first.samples, second.samples))
    assert np.array_equal(together, said_by(server, "One two three.", "Four five six."))


async def test_text_is_spoken_while_it_is_written(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1, sampling=TWENTY)
        for part in ("Well, that is a ques", "tion, and I have", " an answer. It is sh"):
            await one.send("append", conversation=1, number=1, text=part)
        began = await one.until("began", number=1)
        assert began["text"] == "Well, that is a question,"
        assert (await one.until("binary"))["bytes"] == FRAME_SAMPLES * 2  # before the text is complete
        await one.send("append", conversation=1, number=1, text="ort.")
        await one.send("commit", conversation=1, number=1)
        await one.until("done", number=1)
    pieces = [m["text"] for m in one.messages if m["type"] == "began"]
    assert pieces == ["Well, that is a question,", "and I have an answer.", "It is short."]
    assert [ended["piece"] for ended in one.heard[1, 1].ended] == [0, 1, 2]
    assert len(one.heard[1, 1].samples) == 60 * FRAME_SAMPLES


async def test_an_interruption_stops_it_and_keeps_what_was_heard(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1, ledger=True)
        await one.say(1, 1, "One two three four.", sampling=TWENTY)
        await one.send("speak", conversation=1, number=2, text=LONG_TEXT, sampling=LONG)
        await one.until("binary", number=2, kind=1)
        await one.send("interrupt", conversation=1, heard_s=1.6)
        ended = await one.until("ended", number=2)
        assert ended["reason"] == "cancelled"
        context = await one.until("context")
        assert [(s["number"], s["text"], s["frames"]) for s in context["segments"]] == [(1, "One two three four.", 20)]
        stepped = server.engine.stats().frames_stepped
        await asyncio.to_thread(wait_until, lambda: server.engine.stats().live_rows == 0)
        assert server.engine.stats().frames_stepped - stepped <= 2
        await one.say(1, 3, "Yes?", sampling=TWENTY)
        assert len(one.heard[1, 3].samples) == 20 * FRAME_SAMPLES


async def test_a_cancelled_text_is_not_spoken_and_the_others_are(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1)
        for number in (1, 2, 3):
            await one.send("speak", conversation=1, number=number, text="Some words.", sampling=TWENTY)
        await one.send("cancel", conversation=1, number=2)
        await one.until("done", number=3)
    assert [one.heard[1, n].ended[0]["reason"] for n in (1, 2, 3)] == ["length", "cancelled", "length"]
    assert not one.heard[1, 2].pcm


async def test_the_other_sides_turn_becomes_context(server: RunningServer) -> None:
    sound = to_int16(np.random.default_rng(0).normal(0, 0.1, 16_000))
    async with client(server.ws) as one:
        await one.send("open", conversation=1, ledger=True)
        await one.upload(1, 1, sound.astype("<i2").tobytes())
        await one.send("listen", conversation=1, number=1, text="How are **you**?", sample_rate=16_000, speaker=3)
        heard = await one.until("heard", number=1)
        assert (heard["text"], heard["frames"], heard["error"]) == ("How are you?", 13, None)
        assert len(one.heard[1, 1].codes) == 13 * 8 * 2
        spoken = await one.say(1, 2, "Fine.", sampling=GREEDY)
    with server.engine.conversation() as talk:
        talk.listen("How are **you**?", sound, 16_000, speaker=3).wait(30)
        alone = np.concatenate([chunk.codes for chunk in talk.speak("Fine.", Sampling(**GREEDY))])
    assert np.array_equal(np.frombuffer(spoken.codes, "<u2").reshape(-1, 8), alone)


async def test_a_conversation_goes_on_from_its_ledger(server: RunningServer) -> None:
    texts = ["One two three.", "Four five six.", "Seven eight nine."]
    async with client(server.ws) as one:
        await one.send("open", conversation=1, ledger=True)
        codes = [(await one.say(1, n, text, sampling=GREEDY)).codes for n, text in enumerate(texts, 1)]
    async with client(server.ws) as other:
        await other.send("open", conversation=9, ledger=True)
        for number, (text, said) in enumerate(zip(texts[:2], codes, strict=False), 1):
            await other.upload(9, number, said, CODES)
            await other.send("recall", conversation=9, number=number, speaker=0, text=text)
        resumed = await other.say(9, 3, texts[2], sampling=GREEDY)
    assert resumed.codes == codes[2]


async def test_opus_packets_decode_to_the_same_length(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1, audio="opus")
        heard = await one.say(1, 1, "Hello there.", sampling=TWENTY)
    decoder: Any = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = 48_000, "mono"
    frames = [frame for packet in heard.packets for frame in decoder.decode(av.Packet(packet))]
    assert len(heard.packets) == 20 * 4
    assert sum(frame.samples / frame.sample_rate for frame in frames) == pytest.approx(1.6, abs=0.03)


async def test_a_window_bounds_what_is_sent_ahead_and_slows_only_its_own(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1, window=10)
        await one.send("open", conversation=2)
        await one.send("speak", conversation=1, number=1, text=LONG_TEXT, sampling=LONG)
        await one.say(2, 1, "Quick.", sampling=TWENTY)
        await one.say(2, 2, "Quick.", sampling=TWENTY)
        ahead = len(one.heard[1, 1].samples) // FRAME_SAMPLES
        assert 10 <= ahead < 10 + 8
        await one.send("taken", conversation=1, number=1, frames=ahead)
        await one.until("binary", conversation=1)
        await one.send("close", conversation=1)
        assert (await one.until("closed", conversation=1))["error"] is None


async def test_what_was_not_taken_is_not_in_the_context(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1, window=100, ledger=True)
        await one.say(1, 1, "One two three four.", sampling=TWENTY)
        await one.send("taken", conversation=1, number=1, frames=10)
        await one.send("interrupt", conversation=1)
        context = await one.until("context")
        while context["segments"][0]["frames"] == 20:
            context = await one.until("context")
        assert [s["frames"] for s in context["segments"]] == [10]
        assert "One two three four.".startswith(context["segments"][0]["text"])
        assert not context["segments"][0]["text"].endswith("four.")


async def test_voice_and_speaker_change_with_the_next_text(server: RunningServer) -> None:
    prompt = np.random.default_rng(0).normal(0, 0.1, 24_000).astype("<f4")
    async with client(server.ws) as one:
        await one.send("open", conversation=1, ledger=True)
        plain = await one.say(1, 1, "Hello.", sampling=GREEDY)
        await one.upload(1, 2, prompt.tobytes())
        await one.send("configure", conversation=1, voice={"name": "ann", "text": "This is me.", "number": 2})
        await one.send("interrupt", conversation=1, heard_s=0)
        prompted = await one.say(1, 3, "Hello.", sampling=GREEDY)
        await one.send("configure", conversation=1, voice=None)
        await one.send("interrupt", conversation=1, heard_s=0)
        again = await one.say(1, 4, "Hello.", sampling=GREEDY)
    assert plain.codes != prompted.codes
    assert plain.codes == again.codes


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "speak", "conversation": 1, "number": 1, "text": "🙂"}, "bad_text"),
        ({"type": "speak", "conversation": 1, "number": 1, "text": "and so on " * 400}, "context_full"),
        ({"type": "speak", "conversation": 1, "number": 1, "text": "a" * 5_000}, "bad_text"),
        ({"type": "speak", "conversation": 5, "number": 1, "text": "Hello."}, "no_conversation"),
        ({"type": "configure", "conversation": 1, "voice": "nobody"}, "bad_voice"),
        ({"type": "configure", "conversation": 1, "voice": "http://169.254.169.254/"}, "bad_voice"),
        ({"type": "listen", "conversation": 1, "number": 1, "text": "Hm."}, "bad_input"),
        ({"type": "recall", "conversation": 1, "number": 1, "speaker": 0, "text": "Hm."}, "bad_input"),
        ({"type": "open", "conversation": 2, "voice": "../x"}, "bad_voice"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["type"],
)
async def test_what_cannot_be_done_is_told_and_the_socket_goes_on(
    server: RunningServer, message: dict[str, Any], code: str
) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1)
        await one.socket.send(json.dumps(message))
        while "error" not in (told := await one.receive()) or told["error"] is None:
            pass
        assert told["error"]["code"] == code
        assert (await one.say(1, 9, "Still here.", sampling=TWENTY)).ended[0]["reason"] == "length"


HALF = "\ud83d"
"""Half an emoji: what is left where a text is cut between two UTF-16 units."""

UNUSABLE: dict[str, dict[str, Any]] = {
    "half an emoji as text": {"type": "speak", "conversation": 1, "number": 2, "text": HALF},
    "half an emoji in a text": {"type": "append", "conversation": 1, "number": 2, "text": f"Fine {HALF}"},
    "half an emoji as a voice": {"type": "configure", "conversation": 1, "number": 2, "voice": HALF},
    "half an emoji as an uploaded voice": {
        "type": "configure", "conversation": 1, "voice": {"name": HALF, "text": "Me.", "number": 2},
    },
    "half an emoji in words": {
        "type": "recall", "conversation": 1, "number": 2, "speaker": 0, "text": "Hm.",
        "words": [{"text": HALF, "start_s": 0, "end_s": 1}],
    },
    "half an emoji in what was heard": {"type": "listen", "conversation": 1, "number": 2, "text": HALF},
    "half an emoji as a type": {"type": HALF, "conversation": 1, "number": 2},
    "half an emoji as a field": {"type": "speak", "conversation": 1, "number": 2, "text": "Hi.", HALF: 1},
    "half an emoji as a conversation": {"type": "speak", "conversation": HALF, "number": 2, "text": "Hi."},
    "half an emoji as a number": {"type": "speak", "conversation": 1, "number": HALF, "text": "Hi."},
    "half an emoji in a sampling": {
        "type": "speak", "conversation": 1, "number": 2, "text": "Hi.", "sampling": {"seed": HALF},
    },
    "no such type": {"type": "nonsense", "conversation": 1, "number": 2},
    "no type": {"conversation": 1, "number": 2},
    "no conversation": {"type": "speak", "number": 2, "text": "Hi."},
    "a negative conversation": {"type": "close", "conversation": -1},
    "a field too many": {"type": "speak", "conversation": 1, "number": 2, "text": "Hi.", "extra": 1},
    "a text too few": {"type": "speak", "conversation": 1, "number": 2},
    "no number": {"type": "interrupt", "conversation": 1, "heard_s": float("nan")},
    "a huge number": {"type": "speak", "conversation": 1, "number": 10**4_000, "text": "Hi."},
    "a text too long": {"type": "speak", "conversation": 1, "number": 2, "text": "a" * 20_000},
    "nested": {"type": "speak", "conversation": 1, "number": 2, "text": [[[[]]]] * 99},
    "opened twice": {"type": "open", "conversation": 1},
}  # fmt: skip


def unusable(message: dict[str, Any]) -> str:
    with json_of_any_length():
        return json.dumps(message)


@contextmanager
def json_of_any_length() -> Iterator[None]:
    """Let Python write whole numbers of any length."""
    most = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(most)


@pytest.mark.parametrize("message", UNUSABLE.values(), ids=UNUSABLE)
async def test_a_message_that_cannot_be_used_fails_alone(server: RunningServer, message: dict[str, Any]) -> None:
    """Half an emoji ended every conversation of its connection."""
    async with client(server.ws) as one:
        await one.send("open", conversation=1, sampling=TWENTY)
        await one.send("open", conversation=2)
        await one.send("speak", conversation=1, number=1, text="One two three.", sampling=TWENTY)
        await one.socket.send(unusable(message))
        failed = await one.until("failed")
        for field in ("conversation", "number"):
            asked = message.get(field)
            assert failed[field] == (asked if isinstance(asked, int) and 0 <= asked < 2**32 else None)
        assert failed["error"]["code"] in ("bad_text", "bad_input", "exists")
        assert len(failed["error"]["message"]) > 10
        await one.send("append", conversation=1, number=3, text="Still ")
        await one.send("append", conversation=1, number=3, text="here.")
        await one.send("commit", conversation=1, number=3)
        await one.say(2, 1, "Here too.", sampling=TWENTY)
        while not one.heard.get((1, 3)) or not one.heard[1, 3].done:
            await one.receive()
    alone = said_by(server, "One two three.")
    np.testing.assert_allclose(one.heard[1, 1].samples.astype(int), alone, atol=1)


async def test_a_conversation_that_cannot_be_opened_is_closed_alone(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1)
        await one.send("open", conversation=2, voice=HALF)
        closed = await one.until("closed")
        assert (closed["conversation"], closed["error"]["code"]) == (2, "bad_input")
        await one.say(1, 1, "Still here.", sampling=TWENTY)


async def test_a_binary_message_of_no_kind_fails_alone(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.send("open", conversation=1)
        await one.upload(1, 5, b"1234", kind=9)
        failed = await one.until("failed")
        assert (failed["conversation"], failed["number"], failed["error"]["code"]) == (1, 5, "bad_input")
        await one.say(1, 6, "Still here.", sampling=TWENTY)


@pytest.mark.parametrize(
    "message", ["no json", "7", '["open"]', "[" * 30_000, "", b"short"], ids=lambda m: repr(m)[:20]
)
async def test_what_is_no_message_closes_the_socket_with_1008(server: RunningServer, message: str | bytes) -> None:
    async with client(server.ws) as one:
        await one.socket.send(message)
        with pytest.raises(ConnectionClosed):
            while True:
                await one.receive()
        assert one.socket.close_code == 1008
        assert len(one.socket.close_reason or "") > 10


async def test_a_message_that_is_too_long_closes_the_socket_with_1009(server: RunningServer) -> None:
    async with client(server.ws) as one:
        await one.socket.send("x" * 65_537)
        with pytest.raises(ConnectionClosed):
            while True:
                await one.receive()
        assert one.socket.close_code == 1009


async def test_leaving_frees_the_rows(server: RunningServer) -> None:
    before = server.engine.stats().conversations
    async with client(server.ws) as one:
        await one.send("open", conversation=1)
        await one.send("speak", conversation=1, number=1, text=LONG_TEXT, sampling=LONG)
        await one.until("binary")
    await asyncio.to_thread(wait_until, lambda: server.engine.stats().live_rows == 0)
    await asyncio.to_thread(wait_until, lambda: server.engine.stats().conversations <= before)
    assert server.service.live == 0


def test_every_message_is_in_the_published_schema(server: RunningServer) -> None:
    schema = httpx.get(f"{server.url}/v1/stream/schema.json").json()
    names = set(schema["$defs"])
    assert {"Open", "Speak", "Interrupt", "Recall", "Hello", "Ended", "Context"} <= names
    assert schema["$defs"]["Open"]["properties"]["window"]["description"]
