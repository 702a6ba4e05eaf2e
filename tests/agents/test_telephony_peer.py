"""The caller of the tests writes what Twilio does, byte for byte as its documentation shows it, and plays alike."""

from __future__ import annotations

import base64
import json

from tests.agents.phone import Phone

ACCOUNT = "AC" + "1".rjust(32, "0")
CALL = "CA" + "7".rjust(32, "0")
STREAM = "MZ" + "7".rjust(32, "0")
PACKET = base64.b64encode(b"\x01" * 160).decode()


class WrittenDown(Phone):
    """A phone without a socket."""

    def __init__(self, *, by_hand: bool = False) -> None:
        super().__init__("", number=7, by_hand=by_hand)
        self.written: list[str] = []

    async def say(self, message: object) -> None:
        self.written.append(json.dumps(message, separators=(",", ":")))

    async def take(self, *messages: str) -> None:
        """Take what an agent sends."""
        for message in messages:
            await self._take(json.loads(message))


def media(packets: int) -> str:
    payload = base64.b64encode(b"\x02" * 160 * packets).decode()
    return f'{{"event":"media","streamSid":"{STREAM}","media":{{"payload":"{payload}"}}}}'


def mark(name: str) -> str:
    return f'{{"event":"mark","streamSid":"{STREAM}","mark":{{"name":"{name}"}}}}'


CLEAR = f'{{"event":"clear","streamSid":"{STREAM}"}}'


async def test_it_writes_what_twilio_writes() -> None:
    phone = WrittenDown()
    await phone.start()
    await phone.speak(b"\x01" * 320)
    await phone.press("1")
    await phone.take(mark("my label"))
    phone.close = lambda: phone.say("closed")  # type: ignore[method-assign]
    await phone.hang_up()
    assert phone.written == [
        '{"event":"connected","protocol":"Call","version":"1.0.0"}',
        f'{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"{ACCOUNT}","streamSid":"{STREAM}",'
        f'"callSid":"{CALL}","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,'
        f'"channels":1}},"customParameters":{{}}}},"streamSid":"{STREAM}"}}',
        f'{{"event":"media","sequenceNumber":"2","media":{{"track":"inbound","chunk":"1","timestamp":"20",'
        f'"payload":"{PACKET}"}},"streamSid":"{STREAM}"}}',
        f'{{"event":"media","sequenceNumber":"3","media":{{"track":"inbound","chunk":"2","timestamp":"40",'
        f'"payload":"{PACKET}"}},"streamSid":"{STREAM}"}}',
        f'{{"event":"dtmf","streamSid":"{STREAM}","sequenceNumber":"4",'
        f'"dtmf":{{"track":"inbound_track","digit":"1"}}}}',
        f'{{"event":"mark","sequenceNumber":"5","streamSid":"{STREAM}","mark":{{"name":"my label"}}}}',
        f'{{"event":"stop","sequenceNumber":"6","streamSid":"{STREAM}",'
        f'"stop":{{"accountSid":"{ACCOUNT}","callSid":"{CALL}"}}}}',
        '"closed"',
    ]


async def test_marks_come_back_when_all_before_them_was_played() -> None:
    phone = WrittenDown(by_hand=True)
    await phone.take(media(4), mark("1"), media(4), mark("2"))
    await phone.play(0.079)
    assert phone.echoed == []
    await phone.play(0.001)
    assert phone.echoed == ["1"] and len(phone.heard) == 640
    await phone.play(1)
    assert phone.echoed == ["1", "2"] and len(phone.heard) == 1280


async def test_a_clear_drops_the_sound_and_sends_its_marks_back_at_once() -> None:
    phone = WrittenDown(by_hand=True)
    await phone.take(media(4), mark("1"), media(4), mark("2"), CLEAR, mark("3"))
    assert phone.echoed == ["1", "2"] and phone.queued_samples == 0
    await phone.play(0)
    assert phone.echoed == ["1", "2", "3"] and len(phone.heard) == 0


async def test_what_twilio_would_refuse_is_complained_of() -> None:
    phone = WrittenDown()
    for message in (
        media(1).replace(STREAM, "MZ1"),
        media(1).replace('"event":"media"', '"event":"playAudio"'),
        '{"event":"media"}',
        f'{{"event":"media","streamSid":"{STREAM}","media":{{"payload":"AAAA"}}}}',
        f'{{"event":"mark","streamSid":"{STREAM}","mark":{{"name":"1"}},"more":1}}',
    ):
        known = len(phone.complaints)
        await phone.take(message)
        assert len(phone.complaints) == known + 1, message
