"""A caller without a telephone: a peer that speaks Twilio's protocol as it is documented, over real sockets.

What Twilio would refuse or warn of is kept in `complaints`. Sound is played in virtual time: at once, or when a
test says so; marks come back when all before them was played, or at once after a clear, as Twilio documents it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import xml.etree.ElementTree as ElementTree
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from agents.telephony.signatures import twilio_signature
from tests.agents.ulaw import Sound, decode_ulaw

PUBLIC_URL = "https://voice.example.test"
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
CALLER = "+15005550006"
PATIENCE_S = 60.0
FOREVER_S = 1e6
SILENCE = b"\xff" * 160


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Phone:
    """One call. Speaks Twilio's protocol; the others override what differs.

    Args:
        address: of the server on this machine, `http://127.0.0.1:port`.
        number: tells calls of a test apart.
        by_hand: sound is played when `play` is called, instead of at once.
    """

    provider: ClassVar[str] = "twilio"

    def __init__(self, address: str, *, number: int = 1, by_hand: bool = False) -> None:
        self.call_id = f"CA{number:032x}"
        self.stream_id = f"MZ{number:032x}"
        self.account_id = f"AC{1:032x}"
        self.address = address
        self.played: list[bytes] = []
        self.arrivals_s: list[float] = []
        self.received: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self.echoed: list[str] = []
        self.clears = 0
        self.close_code: int | None = None
        self._by_hand = by_hand
        self._queue: deque[bytes | str] = deque()  # sound, or a mark's name
        self._sequence = 0
        self._chunk = 0
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    # The webhook

    def form(self) -> dict[str, str]:
        """What the webhook is told of the call."""
        return {
            "AccountSid": self.account_id,
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_id,
            "CallStatus": "ringing",
            "Called": "+15005550001",
            "Caller": CALLER,
            "CallerCity": "",
            "Direction": "inbound",
            "From": CALLER,
            "To": "+15005550001",
        }

    def sign(self, url: str, body: bytes) -> dict[str, str]:
        """The headers that prove who asks."""
        return {"X-Twilio-Signature": twilio_signature(AUTH_TOKEN, url, {k: [v] for k, v in self.form().items()})}

    async def announce(self, headers: dict[str, str] | None = None, path: str | None = None) -> httpx.Response:
        """Ask the webhook what to do with the call."""
        path = path or f"/{self.provider}/voice"
        body = urlencode(self.form()).encode()
        proof = self.sign(PUBLIC_URL + path, body) if headers is None else headers
        kind = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
        async with httpx.AsyncClient(base_url=self.address, timeout=PATIENCE_S) as web:
            return await web.post(path, content=body, headers=proof | kind)

    def media_url(self, answer: str) -> str:
        """Where the webhook's answer says that the stream goes; fails if it is another answer."""
        response = ElementTree.fromstring(answer)
        assert [verb.tag for verb in response] == ["Connect", "Hangup"], answer
        stream = response.find("Connect/Stream")
        assert stream is not None
        return stream.attrib["url"]

    def upgrade_headers(self, url: str) -> dict[str, str]:
        """The headers with which a socket is asked for."""
        return {"X-Twilio-Signature": twilio_signature(AUTH_TOKEN, url, {})}

    # The media socket

    async def dial(self) -> None:
        """Be called: webhook, socket, start."""
        answer = await self.announce()
        assert answer.status_code == 200, answer.text
        await self.open(self.media_url(answer.text))
        await self.start()

    async def open(self, url: str, headers: dict[str, str] | None = None) -> None:
        """Open the media socket that a public address names."""
        assert url.startswith("wss://") and "?" not in url, url
        local = url.replace(PUBLIC_URL.replace("https", "wss"), self.address.replace("http", "ws"))
        proof = self.upgrade_headers(url) if headers is None else headers
        self._socket = await connect(local, additional_headers=proof, compression=None)
        self._reader = asyncio.create_task(self._read())

    async def start(self) -> None:
        """Say which stream this is."""
        await self.say({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "accountSid": self.account_id,
            "streamSid": self.stream_id,
            "callSid": self.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        }
        await self.say({"event": "start", **self.numbered(), "start": start, "streamSid": self.stream_id})

    async def speak(self, sound: bytes = SILENCE) -> None:
        """Send µ-law sound in packets of 20 ms, without waiting for time to pass."""
        for at in range(0, len(sound), 160):
            self._chunk += 1
            media = {
                "track": "inbound",
                "chunk": str(self._chunk),
                "timestamp": str(20 * self._chunk),
                "payload": base64.b64encode(sound[at : at + 160].ljust(160, b"\xff")).decode(),
            }
            await self.say({"event": "media", **self.numbered(), "media": media, "streamSid": self.stream_id})

    async def press(self, key: str) -> None:
        """Press a key."""
        dtmf = {"track": "inbound_track", "digit": key}
        await self.say({"event": "dtmf", "streamSid": self.stream_id, **self.numbered(), "dtmf": dtmf})

    async def hang_up(self) -> None:
        """The caller hangs up: stop, and the socket's end."""
        stop = {"accountSid": self.account_id, "callSid": self.call_id}
        await self.say({"event": "stop", **self.numbered(), "streamSid": self.stream_id, "stop": stop})
        await self.close()

    async def close(self) -> None:
        """Break the socket off."""
        assert self._socket is not None and self._reader is not None
        await self._socket.close()
        await self._reader

    async def closed(self) -> int | None:
        """Wait until the socket is closed; return its code."""
        assert self._reader is not None
        await asyncio.wait_for(asyncio.shield(self._reader), PATIENCE_S)
        return self.close_code

    def numbered(self) -> dict[str, str]:
        """The next sequence number."""
        self._sequence += 1
        return {"sequenceNumber": str(self._sequence)}

    async def say(self, message: dict[str, Any] | str) -> None:
        """Send a message as the provider writes it; text goes out as it is."""
        assert self._socket is not None
        await self._socket.send(message if isinstance(message, str) else json.dumps(message, separators=(",", ":")))

    # What is heard

    @property
    def heard(self) -> Sound:
        """All that was played, int16 [samples], 8 kHz."""
        return decode_ulaw(b"".join(self.played))

    @property
    def queued_samples(self) -> int:
        """How much waits to be played."""
        return sum(len(item) for item in self._queue if isinstance(item, bytes))

    async def play(self, seconds: float) -> None:
        """Let time pass: play what is queued, and send back the marks that are reached."""
        left = round(seconds * 8000)
        while self._queue:
            item = self._queue[0]
            if isinstance(item, str):
                self._queue.popleft()
                await self._echo(item)
                continue
            if left <= 0:
                return
            self.played.append(item[:left])
            if len(item) <= left:
                self._queue.popleft()
            else:
                self._queue[0] = item[left:]
            left -= len(item)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        await until(condition)

    async def _read(self) -> None:
        assert self._socket is not None
        try:
            async for data in self._socket:
                if isinstance(data, bytes):
                    self.complaints.append("a binary message")
                    continue
                message = json.loads(data)
                self.received.append(message)
                await self._take(message)
        except ConnectionClosed:
            pass
        finally:
            self.close_code = self._socket.close_code

    async def _take(self, message: dict[str, Any]) -> None:
        kind = message.get("event")
        fault = self.fault(message)
        if fault:
            self.complaints.append(fault)
        elif kind == self.clear_event:
            self.clears += 1
            marks = [item for item in self._queue if isinstance(item, str)]
            self._queue.clear()
            await self.cleared(marks)
        else:
            if kind == self.sound_event:
                self.arrivals_s.append(time.monotonic())
                self._queue.append(base64.b64decode(message["media"]["payload"]))
            else:
                self._queue.append(self.mark_name(message))
            if not self._by_hand:
                await self.play(FOREVER_S)

    # What differs among providers

    sound_event: ClassVar[str] = "media"
    clear_event: ClassVar[str] = "clear"

    def fault(self, message: dict[str, Any]) -> str | None:
        """What the provider would object to in a message, if anything."""
        shapes = {
            "media": {"event", "streamSid", "media"},
            "mark": {"event", "streamSid", "mark"},
            "clear": {"event", "streamSid"},
        }
        if set(message) != shapes.get(message.get("event", "")) or message["streamSid"] != self.stream_id:
            return f"31924: {sorted(message)}"
        if message["event"] == "media":
            return check_payload(message["media"], {"payload"})
        return None

    def mark_name(self, message: dict[str, Any]) -> str:
        """A mark message's name."""
        name: str = message["mark"]["name"]
        return name

    async def cleared(self, marks: list[str]) -> None:
        """Answer a clear."""
        for name in marks:
            await self._echo(name)

    def echo(self, name: str) -> dict[str, Any]:
        """The message that says that a mark was reached."""
        return {"event": "mark", **self.numbered(), "streamSid": self.stream_id, "mark": {"name": name}}

    async def _echo(self, name: str) -> None:
        self.echoed.append(name)
        try:
            await self.say(self.echo(name))
        except ConnectionClosed:
            return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            await self.close()


@asynccontextmanager
async def calling(phone: Phone) -> AsyncIterator[Phone]:
    """A call that is connected, and that must have broken no rule of its provider's."""
    async with phone:
        await phone.dial()
        yield phone
    assert phone.complaints == []


def check_payload(media: dict[str, Any], fields: set[str]) -> str | None:
    """What is wrong with a sound's message, if anything: its fields, its base64, or its length."""
    if set(media) != fields:
        return f"media has {sorted(media)}"
    sound = base64.b64decode(media["payload"], validate=True)
    return None if len(sound) % 160 == 0 and sound else f"{len(sound)} samples, which are no packets of 20 ms"


async def until(condition: Callable[[], object]) -> None:
    """Poll a condition; fail if it does not come true in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.005)
