"""A provider's serializer with what Pipecat's leave out: marks, the call's end, and messages that make no sense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from loguru import logger
from pipecat.frames.frames import CancelFrame, EndFrame, Frame
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.serializers.base_serializer import FrameSerializer

from agents.telephony.playback import Playback
from agents.telephony.providers import Provider

HANG_UP_TIMEOUT_S = 5.0
PASSED_ON = ("media", "dtmf")


class TelephoneSerializer(FrameSerializer):
    """Passes sound, keys and the hang-up to Pipecat's serializer; keeps the rest to itself.

    Args:
        stock: Pipecat's serializer for the provider.
        provider: whose messages these are.
        playback: is told of marks that come back.
        on_stop: called when the provider says that the caller has hung up.
    """

    def __init__(
        self, stock: FrameSerializer, provider: Provider, playback: Playback, on_stop: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__()
        self._stock = stock
        self._provider = provider
        self._playback = playback
        self._on_stop = on_stop
        self._stopped = False

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Tell the rates to Pipecat's serializer."""
        await self._stock.setup(setup)

    async def serialize(self, frame: Frame) -> str | bytes | None:
        """Give the message for a frame. The last frame hangs up, within 5 s, unless the caller has."""
        if not isinstance(frame, EndFrame | CancelFrame):
            return await self._stock.serialize(frame)
        if self._stopped:
            return None
        try:
            async with asyncio.timeout(HANG_UP_TIMEOUT_S):
                return await self._stock.serialize(frame)
        except TimeoutError:
            logger.warning(f"call: {self._provider.name} did not answer the hang-up within {HANG_UP_TIMEOUT_S:.0f} s")
            return None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """Give the frame for a message, if it has one. What makes no sense is dropped."""
        message = read_message(data)
        if message is None:
            logger.debug(f"call: dropped a message of {len(data)} characters that makes no sense")
            return None
        name = self._provider.echo(message)
        if name is not None:
            self._playback.echo(name)
        elif message.get("event") == "stop":
            self._stopped = True
            await self._on_stop()
        elif message.get("event") in PASSED_ON:
            return await self._pass_on(data)
        return None

    async def _pass_on(self, data: str | bytes) -> Frame | None:
        try:
            return await self._stock.deserialize(data)
        except (ValueError, TypeError, AttributeError) as error:
            logger.debug(f"call: dropped a message that makes no sense ({type(error).__name__})")
            return None


def read_message(data: str | bytes) -> dict[str, Any] | None:
    """Read a provider's message; None if it is no JSON object."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
