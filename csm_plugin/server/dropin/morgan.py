"""Morgan's speech service: `/api/generate`, `/api/stream` and `/api/voices`; its `/health` is in `shared_paths`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from csm_plugin.errors import CSMError
from csm_plugin.server.dropin.exchange import told_of
from csm_plugin.server.dropin.orders import Order, Pcm, Text, Wire, base64_of, joined, speak_order, wav_file
from csm_plugin.server.formats.encoders import encoded, sound_file
from csm_plugin.server.formats.names import MEDIA_TYPES, SoundFormat
from csm_plugin.server.formats.stretch import MAX_SPEED, MIN_SPEED, stretched
from csm_plugin.server.http.sound_response import SoundResponse
from csm_plugin.server.http.speech import ERRORS, EVENT_CONTENT, SOUND_CONTENT, event
from csm_plugin.server.http.speech_order import Name
from csm_plugin.server.shared.errors import Refusal
from csm_plugin.server.shared.service import Service
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling
from csm_plugin.text.normalize import normalize

DEFAULT, SPEAKERS = "default", ("speaker_0", "speaker_1")
"""Voices that Morgan has by itself: whatever speaks if none is named, and CSM's speakers."""

SPEAKER_NAME = re.compile(r"(?:speaker_)?([0-9]{1,2})")
SOUND: dict[int | str, dict[str, Any]] = {200: {"content": SOUND_CONTENT}}
EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": EVENT_CONTENT}}


class MorganOrder(Wire):
    """What Morgan takes. What a request leaves out is as the settings say."""

    text: Text
    voice: Name | None = None
    speed: float | None = Field(None, ge=MIN_SPEED, le=MAX_SPEED)
    output_format: SoundFormat | None = None
    stream: bool = Field(False, description="Give the sound itself, as it is made, instead of JSON.")


class Metadata(BaseModel):
    """What Morgan tells about a sound."""

    model: str
    voice: str
    text_length: int


class MorganAnswer(BaseModel):
    """What Morgan gives for a text."""

    audio_data: str
    format: str
    sample_rate: int = SAMPLE_RATE_HZ
    duration: float
    metadata: Metadata


class MorganVoices(BaseModel):
    """The voices that there are."""

    voices: list[str]
    current_voice: str
    current_model: str


def is_own_voice(name: str) -> bool:
    """Whether Morgan has a voice of that name by itself."""
    return name == DEFAULT or SPEAKER_NAME.fullmatch(name) is not None


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["Morgan"])

    @routes.post(
        "/api/generate", response_class=Response, responses=ERRORS | {200: {"model": MorganAnswer} | SOUND[200]}
    )
    async def generate(order: MorganOrder) -> Response:
        """Speak a text and give its sound in base64."""
        speech = MorganSpeech(service, order)
        if order.stream:
            return SoundResponse(speech.encoded(), MEDIA_TYPES[speech.form], service.settings.stall_s)
        return SoundResponse(speech.answer(), "application/json", service.settings.stall_s)

    @routes.post("/api/stream", response_class=Response, responses=ERRORS | EVENTS)
    async def stream(order: MorganOrder) -> Response:
        """Speak a text; give its sound in events, each as soon as it is made."""
        if not service.settings.morgan.streaming_enabled:
            raise Refusal("streaming_enabled is false in the settings", status=404, code="no_streaming")
        return SoundResponse(MorganSpeech(service, order).events(), "text/event-stream", service.settings.stall_s)

    @routes.get("/api/voices", responses={status: ERRORS[status] for status in (401, 403, 503)})
    async def voices() -> MorganVoices:
        """List the voices that may be asked for."""
        return MorganVoices(
            voices=list(dict.fromkeys([DEFAULT, *SPEAKERS, *service.voices])),
            current_voice=service.settings.morgan.voice,
            current_model=service.keeper.engine.model_name,
        )

    return routes


class MorganSpeech:
    """A request that is being answered.

    Raises:
        CSMError: it cannot be.
    """

    def __init__(self, service: Service, order: MorganOrder) -> None:
        normalize(order.text)  # refuses what holds nothing speakable, before anything is opened
        own = service.settings.morgan
        self._service = service
        self._text = order.text
        self._model = service.engine.model_name
        self._voice = order.voice or own.voice
        self._speed = own.speed if order.speed is None else order.speed
        self._chunk_samples = own.chunk_size
        self.form: SoundFormat = order.output_format or own.output_format

    def encoded(self) -> AsyncGenerator[bytes, None]:
        """Give the sound in its format, as it is made."""
        return encoded(self._spoken(), self.form)

    async def answer(self) -> AsyncGenerator[bytes, None]:
        """Give the answer of `/api/generate`, in one piece."""
        pcm = await joined(self._spoken())
        told = MorganAnswer(
            audio_data=base64_of(sound_file(pcm, self.form)),
            format=self.form,
            duration=round(len(pcm) / SAMPLE_RATE_HZ, 3),
            metadata=Metadata(model=self._model, voice=self._voice, text_length=len(self._text)),
        )
        yield told.model_dump_json().encode()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Give the events of `/api/stream`. Of WAV each is a file of its own, of others a part of one."""
        begun = False
        try:
            async with contextlib.aclosing(self._parts()) as parts:
                async for data in parts:
                    yield event({"audio_data": base64_of(data), "chunk_size": len(data)})
                    begun = True
        except CSMError as error:
            if not begun:
                raise
            yield event(told_of(error))
            return
        yield event({"done": True})

    async def _parts(self) -> AsyncGenerator[bytes, None]:
        """Give what the events hold."""
        if self.form != "wav":
            async with contextlib.aclosing(self.encoded()) as parts:
                async for data in parts:
                    yield data
            return
        async with contextlib.aclosing(self._spoken()) as pieces:
            async for pcm in _rechunked(pieces, self._chunk_samples):
                yield wav_file(pcm)

    def _spoken(self) -> AsyncGenerator[Pcm, None]:
        """Speak it at its speed: float32 [samples]."""
        voice, speaker = self._who()
        return stretched(speak_order(self._service, Order(self._text, Sampling(), speaker, voice)), self._speed)

    def _who(self) -> tuple[str | None, int]:
        """Return the voice and the speaker that are meant by a name; a voice of that name comes first."""
        if self._voice in self._service.voices:
            return self._voice, 0
        if self._voice == DEFAULT:
            return None, 0
        if found := SPEAKER_NAME.fullmatch(self._voice):
            return None, int(found[1])
        return self._voice, 0


async def _rechunked(pieces: AsyncIterator[Pcm], samples: int | None) -> AsyncGenerator[Pcm, None]:
    """Give sound in pieces of so many samples, the last may have fewer; None leaves the pieces as they are."""
    rest = np.zeros(0, np.float32)
    async for pcm in pieces:
        rest = np.concatenate((rest, pcm))
        size = len(rest) if samples is None else samples
        while size and len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]
    if len(rest):
        yield rest
