"""One call: its socket's first words, the pipeline behind it, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Callable

from fastapi import WebSocket, WebSocketDisconnect
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.tts_service import TTSService

from agents.session import Line, Session, open_session
from agents.telephony.keypad import Keypad
from agents.telephony.narrowband import Narrowband
from agents.telephony.playback import Playback
from agents.telephony.providers import Provider, Stream
from agents.telephony.serializer import TelephoneSerializer, read_message
from agents.telephony.transport import TelephoneTransport
from csm_plugin.audio.decimator import TELEPHONE_RATE_HZ
from csm_plugin.pipecat import CSMTTSService

START_TIMEOUT_S = 5.0
START_MESSAGES = 3


async def read_start(websocket: WebSocket, provider: Provider, call_id: str) -> Stream | None:
    """Read a socket's first messages; None unless they start the stream of a certain call within 5 s.

    Args:
        websocket: accepted, and not read from yet.
        provider: whose messages they are.
        call_id: the provider's name for the call that was announced.
    """
    with contextlib.suppress(TimeoutError, ValueError, RuntimeError):
        async with asyncio.timeout(START_TIMEOUT_S):
            for _ in range(START_MESSAGES):
                received = await websocket.receive()
                message = read_message(received.get("text") or "") if received["type"] == "websocket.receive" else None
                stream = provider.stream(message) if message is not None else None
                if stream is not None:
                    same = hmac.compare_digest(stream.call_id.encode(), call_id.encode())
                    return stream if same and stream.stream_id else None
    return None


async def open_call(
    websocket: WebSocket,
    provider: Provider,
    stream: Stream,
    *,
    tts: TTSService,
    brain: Callable[[], FrameProcessor],
    keypad: Keypad,
) -> Session:
    """Build a call's conversation, 8 kHz from end to end, ready to run.

    Args:
        websocket: with its start message read.
        provider: of the call.
        stream: the call's stream.
        tts: the voice, with its own conversation, at 24 kHz.
        brain: makes what answers.
        keypad: gathers the caller's keys.
    """
    playback = Playback()
    if isinstance(tts, CSMTTSService):
        tts.playback.follow(lambda: playback.under_way_s)
    serializer = TelephoneSerializer(provider.serializer(stream), provider, playback, lambda: hang_up(websocket))
    transport = TelephoneTransport(websocket, serializer, playback, provider, stream)
    line = Line(
        rate_in_hz=TELEPHONE_RATE_HZ,
        rate_out_hz=TELEPHONE_RATE_HZ,
        heard=(keypad,),
        spoken=(Narrowband(),),
        page=False,
    )
    session = await open_session(transport, tts, brain, line)

    @transport.event_handler("on_session_timeout")
    async def time_is_up(_transport: TelephoneTransport, _websocket: WebSocket) -> None:
        await session.end()

    return session


async def hang_up(websocket: WebSocket, code: int = 1000) -> None:
    """Close a call's socket, unless it is closed; the provider then ends the call."""
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(code)
