"""The same caller by Telnyx and by Plivo."""

from __future__ import annotations

import base64
import time
import xml.etree.ElementTree as ElementTree
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.telephony.signatures import plivo_signature
from tests.agents.phone import AUTH_TOKEN, CALLER, Phone, check_payload

TELNYX_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class TelnyxPhone(Phone):
    """A call by Telnyx."""

    provider = "telnyx"

    def __init__(self, address: str, *, number: int = 1, by_hand: bool = False) -> None:
        super().__init__(address, number=number, by_hand=by_hand)
        self.call_id = f"v3:{number:040x}"
        self.stream_id = f"32de0dea-53cb-4b21-89a4-{number:012x}"

    def sign(self, url: str, body: bytes) -> dict[str, str]:
        now = str(int(time.time()))
        signature = TELNYX_KEY.sign(now.encode() + b"|" + body)
        return {"telnyx-timestamp": now, "telnyx-signature-ed25519": base64.b64encode(signature).decode()}

    def upgrade_headers(self, url: str) -> dict[str, str]:
        return {}

    async def start(self) -> None:
        await self.say({"event": "connected", "version": "1.0.0"})
        start = {
            "user_id": "3e6f995f-85f7-4705-9741-53b116d28237",
            "call_control_id": self.call_id,
            "call_session_id": "ff55a038-6f5d-11ef-9692-02420aeffb1f",
            "from": CALLER,
            "to": "+15005550001",
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        }
        await self.say({"event": "start", **self.numbered(), "start": start, "stream_id": self.stream_id})

    async def press(self, key: str) -> None:
        await self.say({"event": "dtmf", "stream_id": self.stream_id, **self.numbered(), "dtmf": {"digit": key}})

    async def hang_up(self) -> None:
        stop = {"user_id": "3e6f995f-85f7-4705-9741-53b116d28237", "call_control_id": self.call_id}
        await self.say({"event": "stop", **self.numbered(), "stop": stop, "stream_id": self.stream_id})
        await self.close()

    def numbered(self) -> dict[str, str]:
        return {"sequence_number": super().numbered()["sequenceNumber"]}

    def fault(self, message: dict[str, Any]) -> str | None:
        shapes = {"media": {"event", "media"}, "mark": {"event", "mark"}, "clear": {"event"}}
        if set(message) != shapes.get(message.get("event", "")):
            return f"not a message: {sorted(message)}"
        if message["event"] == "media":
            return check_payload(message["media"], {"payload"})
        return None

    def echo(self, name: str) -> dict[str, Any]:
        return {"event": "mark", **self.numbered(), "stream_id": self.stream_id, "mark": {"name": name}}


class PlivoPhone(Phone):
    """A call by Plivo, which numbers with numbers, and answers a clear instead of the marks that it cleared."""

    provider = "plivo"
    sound_event = "playAudio"
    clear_event = "clearAudio"

    def __init__(self, address: str, *, number: int = 1, by_hand: bool = False) -> None:
        super().__init__(address, number=number, by_hand=by_hand)
        self.call_id = f"12345678-1234-1234-1234-{number:012x}"
        self.stream_id = f"87654321-4321-4321-4321-{number:012x}"

    def form(self) -> dict[str, str]:
        return {"CallUUID": self.call_id, "Direction": "inbound", "Event": "StartApp", "From": CALLER[1:]}

    def sign(self, url: str, body: bytes) -> dict[str, str]:
        nonce = "05429567804466091622"
        signature = plivo_signature(AUTH_TOKEN, url, {k: [v] for k, v in self.form().items()}, nonce)
        return {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": nonce}

    def media_url(self, answer: str) -> str:
        response = ElementTree.fromstring(answer)
        assert [verb.tag for verb in response] == ["Stream", "Hangup"], answer
        assert response[0].attrib["contentType"] == "audio/x-mulaw;rate=8000"
        return response[0].text or ""

    def upgrade_headers(self, url: str) -> dict[str, str]:
        return {}

    async def start(self) -> None:
        start = {
            "callId": self.call_id,
            "streamId": self.stream_id,
            "accountId": "MAXXXXXXXXXXXXXXXXXX",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        }
        await self.say({"event": "start", "sequenceNumber": 1, "start": start, "extra_headers": ""})

    async def press(self, key: str) -> None:
        dtmf = {"track": "inbound", "digit": key, "timestamp": "1705312200000"}
        await self.say({"event": "dtmf", "sequenceNumber": 9, "streamId": self.stream_id, "dtmf": dtmf})

    async def hang_up(self) -> None:
        await self.close()

    def fault(self, message: dict[str, Any]) -> str | None:
        shapes = {
            "playAudio": {"event", "streamId", "media"},
            "checkpoint": {"event", "streamId", "name"},
            "clearAudio": {"event", "streamId"},
        }
        if set(message) != shapes.get(message.get("event", "")) or message["streamId"] != self.stream_id:
            return f"not a message: {sorted(message)}"
        if message["event"] == "playAudio":
            media = message["media"]
            if (media.get("contentType"), media.get("sampleRate")) != ("audio/x-mulaw", 8000):
                return f"not its sound: {media.get('contentType')}, {media.get('sampleRate')}"
            return check_payload(media, {"contentType", "sampleRate", "payload"})
        return None

    def mark_name(self, message: dict[str, Any]) -> str:
        name: str = message["name"]
        return name

    async def cleared(self, marks: list[str]) -> None:
        await self.say({"event": "clearedAudio", "sequenceNumber": 9, "streamId": self.stream_id})

    def echo(self, name: str) -> dict[str, Any]:
        return {"event": "playedStream", "sequenceNumber": 9, "streamId": self.stream_id, "name": name}


PHONES: tuple[type[Phone], ...] = (Phone, TelnyxPhone, PlivoPhone)
