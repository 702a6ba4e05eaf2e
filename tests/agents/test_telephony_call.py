"""Calls as the providers bring them: greeted, interrupted by key and by voice, ended from both sides."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from loguru import logger

from agents.telephony.providers import Twilio
from csm_plugin.audio.pcm import resample
from tests.agents.exchange import Exchange, Reciter, exchange
from tests.agents.other_phones import PHONES
from tests.agents.phone import AUTH_TOKEN, CALLER, Phone, calling, until
from tests.agents.ulaw import Sound, encode_ulaw
from tests.scripted_engine import Script, ScriptedEngine, pitch_of
from training.corpus.flite import say

GREETING = "Good day to you."
LONG = "This is a long reply that goes on for a good while."
ANSWER = "That is what you pressed."
FRAME = 640


class Agent:
    """An exchange whose brains are kept."""

    def __init__(self, *replies: str) -> None:
        self.brains: list[Reciter] = []
        self._replies = replies

    def __call__(self) -> Reciter:
        self.brains.append(Reciter(self._replies))
        return self.brains[-1]

    @property
    def asked(self) -> list[str]:
        """What the last call's brain was asked."""
        return self.brains[-1].asked if self.brains else []


def frames_of(text: str) -> Script:
    return Script(frames=40 if text == LONG else 4)


def pitch_hz(sound: Sound) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * 8000 / len(sound)


@pytest.mark.parametrize("kind", PHONES)
async def test_a_caller_is_greeted_presses_a_key_and_hangs_up(kind: type[Phone]) -> None:
    agent = Agent(GREETING, ANSWER)
    with exchange(agent, engine=ScriptedEngine(frames_of)) as there:
        async with calling(kind(there.address)) as phone:
            await until(lambda: len(phone.heard) == 4 * FRAME)
            await until(lambda: phone.echoed == ["1", "2", "3", "4"])
            assert pitch_hz(phone.heard) == pytest.approx(pitch_of(there.engine.segments[0]), abs=5)
            await phone.press("5")
            await until(lambda: len(phone.heard) == 8 * FRAME)
            assert pitch_hz(phone.heard[4 * FRAME :]) == pytest.approx(pitch_of(there.engine.segments[1]), abs=5)
            assert agent.asked == ["", "I pressed 5 on the keypad."]
            assert phone.clears == 1
            await phone.hang_up()
        await until(lambda: there.calls.live == 0)
        assert [talk.closed for talk in there.engine.conversations] == [True]


@pytest.mark.parametrize("kind", PHONES)
async def test_a_key_silences_the_agent_at_once(kind: type[Phone]) -> None:
    agent = Agent(LONG, ANSWER)
    engine = ScriptedEngine(lambda text: Script(frames=400 if text == LONG else 4, frame_delay_s=0.04))
    with exchange(agent, engine=engine, pause_s=60.0) as there:
        async with calling(kind(there.address, by_hand=True)) as phone:
            await until(lambda: phone.queued_samples >= 10 * FRAME)
            await phone.play(0.4)
            for key in "12#":
                await phone.press(key)
            await until(lambda: len(engine.segments) == 2 and not engine.live)
            await until(lambda: phone.queued_samples == 4 * FRAME)
            assert phone.clears == 3
            assert agent.asked[1:] == ["I pressed 1 2 # on the keypad."]
            assert len(engine.segments[0].chunks) < 400
            await phone.play(1)
            assert len(phone.heard) == 3200 + 4 * FRAME
            assert pitch_hz(phone.heard[3200:]) == pytest.approx(pitch_of(engine.segments[1]), abs=5)


async def test_the_conversation_keeps_what_was_played_before_a_key_was_pressed() -> None:
    engine = ScriptedEngine(lambda text: Script(frames=40, frame_delay_s=0.02))
    with exchange(Agent(LONG, ANSWER), engine=engine) as there:
        async with calling(Phone(there.address, by_hand=True)) as phone:
            await until(lambda: phone.queued_samples)
            began_s = time.monotonic()
            while len(phone.heard) < 1.2 * 8000:  # in real time, also where this thread is late
                await asyncio.sleep(0.02)
                await phone.play(time.monotonic() - began_s - len(phone.heard) / 8000)
            await phone.press("1")
            await until(lambda: engine.conversations[0].interruptions)
            (heard_s,) = engine.conversations[0].interruptions
            played_s = len(phone.heard) / 8000
            print(f"\nplayed to the caller {played_s:.2f} s, kept in the conversation {heard_s:.2f} s")
            assert heard_s == pytest.approx(played_s, abs=0.35)  # a word: it ends where the LLM's context ends


async def test_a_voice_interrupts_and_its_words_reach_the_brain() -> None:
    agent = Agent(LONG, ANSWER)
    voice = say("I would like to hear a story about the sea.", "slt", pitch_hz=170.0)
    spoken = encode_ulaw(resample(voice.samples, voice.sample_rate, 8000))
    with exchange(agent, engine=ScriptedEngine(lambda text: Script(frames=90 if text == LONG else 4))) as there:
        async with calling(Phone(there.address)) as phone:
            await until(lambda: len(phone.heard) > FRAME)
            talking = asyncio.create_task(talk(phone, spoken))
            await until(lambda: any("story" in words.lower() for words in agent.asked[1:]))
            assert phone.clears >= 1
            talking.cancel()
            await until(lambda: phone.heard[-4 * FRAME :].any() and not there.engine.live)


async def talk(phone: Phone, spoken: bytes) -> None:
    """Say something in real time, also where this thread is late, and be silent afterwards, as a telephone is."""
    began_s, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began_s) * 50) * 160
        await phone.speak(spoken[sent:due].ljust(due - sent, b"\xff"))
        sent = due
        await asyncio.sleep(0.02)


async def test_a_call_that_breaks_off_ends_and_frees_its_place() -> None:
    with exchange(Agent(LONG), engine=ScriptedEngine(frames_of), limit=1) as there:
        phone = Phone(there.address)
        await phone.dial()
        await until(lambda: len(phone.heard) > FRAME)
        assert "busy" in (await Phone(there.address, number=2).announce()).text
        await phone.close()
        await until(lambda: there.calls.live == 0)
        assert "busy" not in (await Phone(there.address, number=2).announce()).text
        assert there.engine.conversations[0].closed and not there.engine.live


async def test_a_call_that_ended_leaves_nothing_behind() -> None:
    engine = ScriptedEngine(frames_of)
    with exchange(lambda: Reciter([LONG, ANSWER]), engine=engine) as there:
        before, kept = asyncio.all_tasks(there.loop), []
        for number, end in enumerate((Phone.hang_up, Phone.close)):
            async with Phone(there.address, number=number) as phone:
                await phone.dial()
                await until(lambda phone=phone: len(phone.heard) > FRAME)
                await phone.press("#")
                await until(lambda number=number: len(engine.segments) == 2 * (number + 1))
                kept += [weakref.ref(part) for session in there.calls.sessions for part in (session, session._worker)]
                await end(phone)
        await until(lambda: not there.calls.live and asyncio.all_tasks(there.loop) == before)
        assert len(kept) == 4
        await until(lambda: are_gone(kept))
        assert not there.calls.sessions and not engine.live


def are_gone(parts: list[weakref.ref[object]]) -> bool:
    gc.collect()
    return not any(part() for part in parts)


async def test_messages_that_make_no_sense_disturb_nobody() -> None:
    agent = Agent(GREETING, ANSWER)
    nonsense = [
        "",
        "null",
        "[]",
        "nonsense",
        "[" * 30_000,
        '{"event":"media"}',
        '{"event":"media","media":3}',
        '{"event":"media","media":{"payload":7}}',
        '{"event":"media","media":{"payload":"not base64!"}}',
        '{"event":"media","media":{"payload":""}}',
        '{"event":"dtmf","dtmf":{"digit":"x"}}',
        '{"event":"dtmf","dtmf":[]}',
        '{"event":"mark"}',
        '{"event":"mark","mark":{"name":{}}}',
        '{"event":"mark","mark":{"name":"99"}}',
        '{"event":"start","start":{}}',
        '{"event":{"a":1}}',
        '{"event":"dtmf","dtmf":{"digit":"\\ud800"}}',
    ]
    with exchange(agent, engine=ScriptedEngine(frames_of)) as there:
        async with calling(Phone(there.address)) as phone:
            for message in nonsense:
                await phone.say(message)
            await phone.press("7")
            await until(lambda: agent.asked[-1:] == ["I pressed 7 on the keypad."])
            await until(lambda: not there.engine.live and len(phone.heard) >= 4 * FRAME)


class Api:
    """The part of Twilio's REST API that ends a call."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                requests.append((self.path, self.headers["Authorization"], body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def api() -> Iterator[Api]:
    there = Api()
    thread = threading.Thread(target=there.server.serve_forever)
    thread.start()
    yield there
    there.server.shutdown()
    thread.join()
    there.server.server_close()


def drain(there: Exchange) -> None:
    """What SIGTERM does."""
    there.server.handle_exit(15, None)


async def test_the_agent_hangs_up_by_the_providers_api() -> None:
    with api() as rest:
        providers = {"twilio": Twilio(AUTH_TOKEN, rest.url)}
        with exchange(Agent(GREETING), engine=ScriptedEngine(frames_of), providers=providers, drain_s=0.0) as there:
            phone = Phone(there.address)
            await phone.dial()
            await until(lambda: len(phone.heard) == 4 * FRAME)
            drain(there)
            assert await phone.closed() == 1000
        (request,) = rest.requests
        assert request[0] == f"/2010-04-01/Accounts/{phone.account_id}/Calls/{phone.call_id}.json"
        assert request[2] == "Status=completed"
        assert request[1].startswith("Basic ")


async def test_a_caller_who_has_hung_up_is_not_hung_up_on() -> None:
    with api() as rest:
        providers = {"twilio": Twilio(AUTH_TOKEN, rest.url)}
        with exchange(Agent(GREETING), engine=ScriptedEngine(frames_of), providers=providers) as there:
            async with calling(Phone(there.address)) as phone:
                await until(lambda: len(phone.heard) == 4 * FRAME)
                await phone.hang_up()
            await until(lambda: there.calls.live == 0)
        assert rest.requests == []


@pytest.mark.parametrize("kind", PHONES[1:])
async def test_without_an_api_key_the_sockets_end_is_the_calls_end(kind: type[Phone]) -> None:
    with exchange(Agent(GREETING), engine=ScriptedEngine(frames_of), drain_s=0.0) as there:
        phone = kind(there.address)
        await phone.dial()
        await until(lambda: len(phone.heard) == 4 * FRAME)
        drain(there)
        assert await phone.closed() == 1000
        assert phone.complaints == []


async def test_an_api_that_does_not_answer_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.telephony.serializer.HANG_UP_TIMEOUT_S", 0.1)
    with silent_api() as url:
        providers = {"twilio": Twilio(AUTH_TOKEN, url)}
        with exchange(Agent(GREETING), engine=ScriptedEngine(frames_of), providers=providers, drain_s=0.0) as there:
            phone = Phone(there.address)
            await phone.dial()
            await until(lambda: len(phone.heard) == 4 * FRAME)
            drain(there)
            assert await phone.closed() == 1000


@contextmanager
def silent_api() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_the_last_words_are_played_before_the_agent_leaves() -> None:
    with exchange(Agent(LONG), engine=ScriptedEngine(lambda text: Script(frames=10))) as there:
        async with calling(Phone(there.address)) as phone:
            await until(lambda: len(phone.heard) > FRAME)
            (session,) = there.calls.sessions
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(session.end(), there.loop))
            assert await phone.closed() == 1000
            assert len(phone.heard) == 10 * FRAME


async def test_a_draining_agent_takes_nobody_and_waits_for_who_is_there() -> None:
    with exchange(Agent(LONG), engine=ScriptedEngine(frames_of), drain_s=30.0) as there:
        async with calling(Phone(there.address)) as phone:
            await until(lambda: len(phone.heard) > FRAME)
            drain(there)
            assert "busy" in (await Phone(there.address, number=2).announce()).text
            await until(lambda: len(phone.heard) > 10 * FRAME)
            assert there.thread.is_alive()
            await phone.hang_up()
        await until(lambda: not there.thread.is_alive())


async def test_a_second_signal_ends_it_at_once() -> None:
    with exchange(Agent(LONG), engine=ScriptedEngine(frames_of), drain_s=30.0) as there:
        phone = Phone(there.address)
        await phone.dial()
        await until(lambda: len(phone.heard) > FRAME)
        drain(there)
        drain(there)
        assert await phone.closed() in (1006, 1012)
        await until(lambda: not there.thread.is_alive())


async def test_numbers_words_and_tokens_stay_out_of_the_log() -> None:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="INFO", diagnose=False)
    try:
        with exchange(Agent(GREETING, ANSWER), engine=ScriptedEngine(frames_of)) as there:
            for kind in PHONES:
                async with calling(kind(there.address)) as phone:
                    await phone.say('{"event":"media","media":{"payload":"' + "canary" * 9 + '"')
                    await phone.press("4")
                    await until(lambda phone=phone: len(phone.heard) >= 4 * FRAME)
                    await phone.hang_up()
            await Phone(there.address).announce(headers={"X-Twilio-Signature": "canary"})
    finally:
        logger.remove(sink)
    log = "".join(lines)
    assert "twilio is connected" in log
    for secret in (CALLER, CALLER[1:], AUTH_TOKEN, GREETING, ANSWER, "pressed", "canary", "/media/"):
        assert secret not in log
