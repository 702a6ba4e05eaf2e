"""Pipecat's WebSocket transport for a telephone: packets of 20 ms, a little ahead of time, with marks between them."""

from __future__ import annotations

import asyncio

from fastapi import WebSocket
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageUrgentFrame,
)
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketClient,
    FastAPIWebsocketOutputTransport,
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)

from agents.telephony.playback import Playback
from agents.telephony.providers import Provider, Stream

PACKET_S = 0.02
LEAD_S = 0.12
"""How far sending runs ahead of playing: what a busy event loop may hold up before the caller hears a gap."""

LAST_WORDS_S = 0.2
MAX_CALL_S = 3600


class TelephoneOutput(FastAPIWebsocketOutputTransport):
    """Sends sound as the provider's queue empties, and a mark after each frame of it."""

    def __init__(
        self,
        transport: FastAPIWebsocketTransport,
        client: FastAPIWebsocketClient,
        params: FastAPIWebsocketParams,
        *,
        playback: Playback,
        provider: Provider,
        stream: Stream,
    ) -> None:
        super().__init__(transport, client, params)
        self._playback = playback
        self._provider = provider
        self._stream = stream

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Send a packet, then wait until the caller's queue is short enough for the next."""
        mark = self._playback.send(len(frame.audio) // 2)
        if not await self._write_frame(frame):
            return False
        if mark is not None:
            message = dict(self._provider.mark(self._stream, mark))
            await self.send_message(OutputTransportMessageUrgentFrame(message=message))
        await asyncio.sleep(max(0.0, self._playback.ahead_s - LEAD_S))
        return True

    async def _write_frame(self, frame: Frame) -> bool:
        if isinstance(frame, InterruptionFrame):
            self._playback.clear()
        elif isinstance(frame, EndFrame):  # hanging up would cut off what is still queued
            await asyncio.sleep(self._playback.ahead_s + LAST_WORDS_S)
        return await super()._write_frame(frame)


class TelephoneTransport(FastAPIWebsocketTransport):
    """A call's media socket.

    Args:
        websocket: accepted, with its start message read.
        serializer: speaks the provider's protocol.
        playback: is told what is sent.
        provider: of the call.
        stream: the call's stream.
    """

    def __init__(
        self,
        websocket: WebSocket,
        serializer: FrameSerializer,
        playback: Playback,
        provider: Provider,
        stream: Stream,
    ) -> None:
        params = FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=round(PACKET_S * 100),
            audio_out_end_silence_secs=0,
            serializer=serializer,
            session_timeout=MAX_CALL_S,
            allowed_origins=[],  # the socket's token says more than an Origin would
        )
        super().__init__(websocket, params)
        self._output = TelephoneOutput(self, self._client, params, playback=playback, provider=provider, stream=stream)
