"""Microsoft Edge's speech service as a voice, by the package `edge-tts`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import av
import numpy as np

from agents.voices import Pcm
from csm_plugin.errors import GenerationError, SettingsError
from csm_plugin.settings import SAMPLE_RATE_HZ

DEFAULT_VOICE = "en-US-GuyNeural"
CONNECT_TIMEOUT_S = 5
SILENCE_TIMEOUT_S = 10


class EdgeVoice:
    """Speaks by Edge's service: the text goes to it over the network.

    Args:
        voice: one of its names.
    """

    name = "edge"

    def __init__(self, voice: str = DEFAULT_VOICE) -> None:
        self._voice = voice

    def check(self) -> None:
        """See whether it could speak, without asking the service.

        Raises:
            SettingsError: the package is not installed, or there is no such name.
        """
        self._communicate("Hello.")

    async def speak(self, text: str) -> AsyncGenerator[Pcm, None]:
        """See `agents.voices.Voice`."""
        communicate = self._communicate(text)
        decoder = _Mp3Decoder()
        try:
            async with contextlib.aclosing(communicate.stream()) as messages:
                while (message := await _next(messages)) is not None:
                    if message["type"] == "audio" and len(samples := decoder.decode(message["data"])):
                        yield samples
            rest = decoder.finish()
        except Exception as error:  # whatever its network library raises
            raise GenerationError(f"Edge TTS failed ({type(error).__name__}); is the network there?") from error
        if len(rest):
            yield rest

    def another(self) -> EdgeVoice:
        """See `agents.voices.Voice`."""
        return self

    def close(self) -> None:
        """See `agents.voices.Voice`."""

    def cleanup(self) -> None:
        """See `agents.voices.Voice`."""

    def _communicate(self, text: str) -> Any:
        try:
            import edge_tts
        except ImportError:
            raise SettingsError("Edge TTS needs the package edge-tts: pip install edge-tts") from None
        try:
            return edge_tts.Communicate(text, self._voice, connect_timeout=CONNECT_TIMEOUT_S)
        except ValueError:
            raise SettingsError(f"TTS_VOICE is {self._voice!r}; it must be a name such as {DEFAULT_VOICE}") from None


async def _next(messages: AsyncGenerator[Any, None]) -> Any:
    async with asyncio.timeout(SILENCE_TIMEOUT_S):  # the package has a timeout for this, and waits for ever
        return await anext(messages, None)


class _Mp3Decoder:
    """MP3 as it comes in, to 24 kHz."""

    def __init__(self) -> None:
        self._codec: Any = av.CodecContext.create("mp3", "r")
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)

    def decode(self, data: bytes) -> Pcm:
        """Take bytes in; return what they complete, float32 [samples]."""
        return self._samples(self._codec.parse(data))

    def finish(self) -> Pcm:
        """Return the rest."""
        return self._samples([*self._codec.parse(b""), None])

    def _samples(self, packets: list[Any]) -> Pcm:
        frames = [out for packet in packets for frame in self._codec.decode(packet) for out in self._resample(frame)]
        if None in packets:
            frames += self._resample(None)
        parts = [frame.to_ndarray().reshape(-1) for frame in frames]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _resample(self, frame: Any) -> list[Any]:
        return list(self._resampler.resample(frame))
