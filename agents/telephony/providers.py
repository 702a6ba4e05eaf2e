"""The telephone providers: how each announces a call, signs, streams it and marks what was played."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from xml.sax.saxutils import escape, quoteattr

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.serializers.plivo import PlivoFrameSerializer
from pipecat.serializers.telnyx import TelnyxFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer

from agents.telephony.signatures import Form, check_plivo, check_telnyx, check_twilio

ENCODINGS = ("PCMU", "PCMA")
Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stream:
    """A media stream, as its start message announces it.

    Args:
        stream_id: the provider's name for it.
        call_id: the provider's name for its call.
        account_id: whose call it is; empty where the provider doesn't say.
        encoding: of its sound, PCMU or PCMA, 8 kHz.
    """

    stream_id: str
    call_id: str
    account_id: str = ""
    encoding: str = "PCMU"


class Provider(ABC):
    """What the application needs to know of a provider. Nothing here blocks or waits.

    What isn't said otherwise is as Twilio has it, whose documents others read, too.
    """

    __slots__ = ()

    name: ClassVar[str]
    call_field: ClassVar[str]
    """The webhook's field with the call's name."""

    @abstractmethod
    def check_webhook(self, url: str, form: Form, body: bytes, headers: Mapping[str, str], now: float) -> None:
        """Raise SignatureError unless the provider sent this POST to `url`."""

    @abstractmethod
    def check_socket(self, url: str, headers: Mapping[str, str]) -> None:
        """Raise SignatureError unless the provider asks for this socket, as far as it signs them."""

    @abstractmethod
    def connect(self, media_url: str) -> str:
        """Tell the provider, in XML, to stream the call to a socket, and to hang up when that closes."""

    def busy(self) -> str:
        """Tell the provider, in XML, to give the caller the busy signal."""
        return _response('<Reject reason="busy"/>')

    def stream(self, message: Message) -> Stream | None:
        """Read a start message; None if it isn't one.

        Raises:
            ValueError: the stream is of a kind that cannot be spoken on.
        """
        return self._started(message, _part(message, "start")) if message.get("event") == "start" else None

    @abstractmethod
    def _started(self, message: Message, start: Message) -> Stream:
        """Read a start message and the part of it that tells of the stream."""

    @abstractmethod
    def serializer(self, stream: Stream) -> FrameSerializer:
        """Pipecat's serializer for a stream; it hangs up at the end where it has what that takes."""

    @abstractmethod
    def mark(self, stream: Stream, name: str) -> Message:
        """The message that asks to be told when all sound before it was played."""

    def echo(self, message: Message) -> str | None:
        """The name of the mark up to which all was played, if a message tells that."""
        return _text(_part(message, "mark"), "name") if message.get("event") == "mark" else None


@dataclass(frozen=True, slots=True)
class Twilio(Provider):
    """Twilio's Media Streams.

    Args:
        auth_token: signs webhooks and sockets, and hangs up.
        api_url: of the REST API, if it isn't Twilio's own.
    """

    name: ClassVar[str] = "twilio"
    call_field: ClassVar[str] = "CallSid"
    auth_token: str = field(repr=False)
    api_url: str | None = None

    def check_webhook(self, url: str, form: Form, body: bytes, headers: Mapping[str, str], now: float) -> None:
        check_twilio(self.auth_token, url, form, headers.get("x-twilio-signature"))

    def check_socket(self, url: str, headers: Mapping[str, str]) -> None:
        check_twilio(self.auth_token, url, {}, headers.get("x-twilio-signature"))

    def connect(self, media_url: str) -> str:
        return _response(f"<Connect><Stream url={quoteattr(media_url)}/></Connect><Hangup/>")

    def _started(self, message: Message, start: Message) -> Stream:
        return Stream(_text(start, "streamSid"), _text(start, "callSid"), _text(start, "accountSid"))

    def serializer(self, stream: Stream) -> FrameSerializer:
        return TwilioFrameSerializer(
            stream_sid=stream.stream_id,
            call_sid=stream.call_id,
            account_sid=stream.account_id,
            auth_token=self.auth_token,
            base_url=self.api_url,
            params=TwilioFrameSerializer.InputParams(auto_hang_up=bool(stream.account_id)),
        )

    def mark(self, stream: Stream, name: str) -> Message:
        return {"event": "mark", "streamSid": stream.stream_id, "mark": {"name": name}}


@dataclass(frozen=True, slots=True)
class Telnyx(Provider):
    """Telnyx's media streaming, by TeXML.

    Args:
        public_key: what Telnyx's webhooks are signed with.
        api_key: hangs up; without it a call ends by the socket's end.
    """

    name: ClassVar[str] = "telnyx"
    call_field: ClassVar[str] = "CallSid"
    public_key: Ed25519PublicKey
    api_key: str | None = field(default=None, repr=False)

    def check_webhook(self, url: str, form: Form, body: bytes, headers: Mapping[str, str], now: float) -> None:
        time, signature = headers.get("telnyx-timestamp"), headers.get("telnyx-signature-ed25519")
        check_telnyx(self.public_key, body, time, signature, now)

    def check_socket(self, url: str, headers: Mapping[str, str]) -> None:
        """Telnyx doesn't sign sockets."""

    def connect(self, media_url: str) -> str:
        return _response(
            f'<Connect><Stream url={quoteattr(media_url)} codec="PCMU" bidirectionalMode="rtp" '
            'bidirectionalCodec="PCMU"/></Connect><Hangup/>'
        )

    def _started(self, message: Message, start: Message) -> Stream:
        encoding = _encoding(_text(_part(start, "media_format"), "encoding"))
        return Stream(_text(message, "stream_id"), _text(start, "call_control_id"), encoding=encoding)

    def serializer(self, stream: Stream) -> FrameSerializer:
        return TelnyxFrameSerializer(
            stream_id=stream.stream_id,
            outbound_encoding=stream.encoding,
            inbound_encoding="PCMU",
            call_control_id=stream.call_id,
            api_key=self.api_key,
            params=TelnyxFrameSerializer.InputParams(auto_hang_up=self.api_key is not None),
        )

    def mark(self, stream: Stream, name: str) -> Message:
        return {"event": "mark", "mark": {"name": name}}


@dataclass(frozen=True, slots=True)
class Plivo(Provider):
    """Plivo's audio streaming.

    Args:
        auth_token: signs webhooks; with `auth_id` it hangs up.
        auth_id: the account; without it a call ends by the socket's end.
    """

    name: ClassVar[str] = "plivo"
    call_field: ClassVar[str] = "CallUUID"
    auth_token: str = field(repr=False)
    auth_id: str | None = None

    def check_webhook(self, url: str, form: Form, body: bytes, headers: Mapping[str, str], now: float) -> None:
        nonce, signatures = headers.get("x-plivo-signature-v3-nonce"), headers.get("x-plivo-signature-v3")
        check_plivo(self.auth_token, url, form, nonce, signatures)

    def check_socket(self, url: str, headers: Mapping[str, str]) -> None:
        """Plivo doesn't sign sockets."""

    def connect(self, media_url: str) -> str:
        return _response(
            '<Stream bidirectional="true" keepCallAlive="true" contentType="audio/x-mulaw;rate=8000">'
            f"{escape(media_url)}</Stream><Hangup/>"
        )

    def busy(self) -> str:
        return _response('<Hangup reason="busy"/>')

    def _started(self, message: Message, start: Message) -> Stream:
        if (encoding := _text(_part(start, "mediaFormat"), "encoding")) != "audio/x-mulaw":
            raise ValueError(f"the stream's sound is {encoding!r}; it must be 'audio/x-mulaw'")
        return Stream(_text(start, "streamId"), _text(start, "callId"))

    def serializer(self, stream: Stream) -> FrameSerializer:
        return PlivoFrameSerializer(
            stream_id=stream.stream_id,
            call_id=stream.call_id,
            auth_id=self.auth_id,
            auth_token=self.auth_token,
            params=PlivoFrameSerializer.InputParams(auto_hang_up=self.auth_id is not None),
        )

    def mark(self, stream: Stream, name: str) -> Message:
        return {"event": "checkpoint", "streamId": stream.stream_id, "name": name}

    def echo(self, message: Message) -> str | None:
        return _text(message, "name") if message.get("event") == "playedStream" else None


def _response(verbs: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>'


def _part(message: Message, name: str) -> Message:
    part = message.get(name)
    return part if isinstance(part, dict) else {}


def _text(message: Message, name: str) -> str:
    text = message.get(name)
    return text if isinstance(text, str) else ""


def _encoding(name: str) -> str:
    if name not in ENCODINGS:
        raise ValueError(f"the stream's sound is {name!r}; it must be one of {', '.join(ENCODINGS)}")
    return name
