"""What all drop-in routes do with a text: speak it through the service, as far as it may last, and pack the sound."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from csm_plugin.audio import to_int16, wav_header
from csm_plugin.server.shared.service import Service
from csm_plugin.server.shared.watermark import WatermarkKey
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling
from csm_plugin.text.normalize import MAX_TEXT_CHARACTERS

if TYPE_CHECKING:
    from csm_plugin.conversation import SpeechChunk

Pcm = npt.NDArray[np.float32]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
Speaker = Annotated[int, Field(ge=0, le=99)]
Milliseconds = Annotated[int, Field(ge=80, le=600_000)]
"""A frame of CSM is 80 ms."""


class Wire(BaseModel):
    """What all requests have in common: unknown fields are errors, as are numbers that are none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CsmFields(Wire):
    """The fields that the servers on Sesame's own code share; they hand them to its `Generator.generate`."""

    text: Text
    max_audio_length_ms: Milliseconds | None = None
    temperature: float = Field(0.9, ge=0, le=2, description="0 is greedy.")
    topk: int = Field(50, ge=1, le=4_096)

    def sampling(self, default_ms: int) -> Sampling:
        """Return how it is spoken, `default_ms` at most if the request does not say."""
        longest_ms = default_ms if self.max_audio_length_ms is None else self.max_audio_length_ms
        return Sampling(temperature=self.temperature, top_k=self.topk, max_seconds=longest_ms / 1000)


@dataclass(frozen=True, slots=True)
class Order:
    """A text and how it is said; `sampling.max_seconds` holds for all of it.

    Args:
        watermark: whether the request demands a watermark, None if it does not say.
    """

    text: str
    sampling: Sampling
    speaker: int = 0
    voice: str | None = None
    watermark: bool | None = None
    watermark_key: WatermarkKey | None = None


async def speak_order(service: Service, order: Order) -> AsyncGenerator[Pcm, None]:
    """Speak an order in a conversation of its own: float32 [samples], as it is made.

    Raises:
        CSMError: as `Service.open` and `Service.say` do.
    """
    talk = service.open(
        order.voice, order.speaker, order.sampling, watermark=order.watermark, watermark_key=order.watermark_key
    )
    async with contextlib.aclosing(limited(service.say(talk, order.text), order.sampling.max_seconds)) as pieces:
        async for pcm in pieces:
            yield pcm


async def limited(chunks: AsyncGenerator[SpeechChunk, None], max_seconds: float | None) -> AsyncGenerator[Pcm, None]:
    """Give the sound of chunks, float32 [samples], as far as it may last; close them then."""
    left = None if max_seconds is None else round(max_seconds * SAMPLE_RATE_HZ)
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            if len(chunk.pcm):
                yield chunk.pcm[:left]
            if left is not None and (left := left - len(chunk.pcm)) <= 0:
                return


async def joined(pieces: AsyncIterator[Pcm]) -> Pcm:
    """Wait for all of a sound: float32 [samples]."""
    parts = [pcm async for pcm in pieces]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def wav_file(pcm: Pcm) -> bytes:
    """Return float32 [samples] at 24 kHz as a 16-bit WAV file."""
    return wav_header(SAMPLE_RATE_HZ, len(pcm)) + to_int16(pcm).astype("<i2").tobytes()


def base64_of(data: bytes) -> str:
    """Return bytes as they travel in JSON."""
    return base64.b64encode(data).decode()


def duration_ms(pcm: Pcm) -> float:
    """Return how long a sound lasts."""
    return round(len(pcm) / SAMPLE_RATE_HZ * 1000, 1)
