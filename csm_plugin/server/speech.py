"""`POST /v1/audio/speech`, as OpenAI defines it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from csm_plugin.errors import CSMError
from csm_plugin.server.encoders import MEDIA_TYPES, Encoder, SoundFormat, encoder
from csm_plugin.server.errors import ErrorBody, Refusal, code_of
from csm_plugin.server.service import Service
from csm_plugin.server.sound_response import SoundResponse
from csm_plugin.server.stretch import MAX_SPEED, MIN_SPEED, Stretch
from csm_plugin.settings import FRAME_SAMPLES, Sampling
from csm_plugin.text.normalize import MAX_TEXT_CHARACTERS, normalize

OPENAI_MODELS = frozenset({"tts-1", "tts-1-hd", "gpt-4o-mini-tts"})
"""Names under which OpenAI's clients ask for speech; here they mean the model that is loaded."""

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": told}
    for status, told in {
        400: "The body is no JSON.",
        401: "No valid key.",
        403: "A page of an origin that is not allowed.",
        404: "There is no such model.",
        413: "The body is too large.",
        422: "A value cannot be used.",
        429: "All rows speak and the queue is full; see Retry-After.",
        500: "The model failed.",
        503: "The engine is loading, or the server is about to end; see Retry-After.",
    }.items()
}

Name = Annotated[str, StringConstraints(max_length=256)]


class VoiceId(BaseModel):
    """A voice by its id."""

    model_config = ConfigDict(extra="forbid")

    id: Name


class SpeechOrder(BaseModel):
    """What is to be said, and how."""

    model_config = ConfigDict(extra="forbid")

    input: str = Field(min_length=1, max_length=MAX_TEXT_CHARACTERS, description="The text to speak.")
    model: Name = Field("csm", description="The loaded model's name, or one of OpenAI's, which stand for it.")
    voice: Name | VoiceId | None = Field(None, description="A voice of `/v1/voices`, or one of OpenAI's.")
    response_format: SoundFormat = Field("mp3", description="`pcm` is 16-bit little-endian, 24 kHz, mono.")
    speed: float = Field(1.0, ge=MIN_SPEED, le=MAX_SPEED, allow_inf_nan=False, description="Tempo; the pitch stays.")
    stream_format: Literal["audio", "sse"] = Field("audio", description="`sse` sends events with base64 sound.")
    instructions: str | None = Field(None, max_length=0, description="Not supported: CSM follows none.")
    speaker: int = Field(0, ge=0, le=99, description="CSM's speaker number.")
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="0 is greedy.")
    top_k: int | None = Field(None, ge=1, le=4096, description="How many of the likeliest codes may be drawn.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="The same seed says it the same way again.")

    @property
    def voice_name(self) -> str | None:
        """The name of the voice, None for the default one."""
        return self.voice.id if isinstance(self.voice, VoiceId) else self.voice

    @property
    def sampling(self) -> Sampling:
        """How it is spoken."""
        return Sampling(temperature=self.temperature, top_k=self.top_k, seed=self.seed)


def router(service: Service) -> APIRouter:
    """Make the route."""
    routes = APIRouter(tags=["speech"])

    @routes.post("/v1/audio/speech", response_class=Response, responses=ERRORS | {200: {"content": _CONTENT}})
    async def speech(order: SpeechOrder) -> Response:
        """Speak a text. The sound is sent while it is made."""
        engine = service.engine
        if order.model not in OPENAI_MODELS | {engine.model_name, "csm"}:
            raise Refusal(
                f"there is no such model; this server speaks with {engine.model_name}", status=404,
                code="model_not_found", param="model",
            )  # fmt: skip
        normalize(order.input)  # refuses what holds nothing speakable, before anything is opened
        media_type = MEDIA_TYPES[order.response_format] if order.stream_format == "audio" else "text/event-stream"
        return SoundResponse(_sound(service, order), media_type, service.settings.stall_s)

    return routes


async def _sound(service: Service, order: SpeechOrder) -> AsyncGenerator[bytes, None]:
    """Give the body of a response."""
    if order.stream_format == "audio":
        async for data in _encoded(service, order, _Count()):
            yield data
        return
    count = _Count()
    try:
        async for data in _encoded(service, order, count):
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
    except CSMError as error:
        if not count.frames:
            raise
        yield _event({"type": "error", "error": {"message": str(error), "code": code_of(error)}})
        return
    usage = {"input_tokens": len(order.input), "output_tokens": count.frames}
    yield _event({"type": "speech.audio.done", "usage": usage | {"total_tokens": sum(usage.values())}})


class _Count:
    """How many frames were spoken."""

    frames = 0


async def _encoded(service: Service, order: SpeechOrder, count: _Count) -> AsyncGenerator[bytes, None]:
    talk = service.open(order.voice_name, order.speaker, order.sampling)
    spoken = service.say(talk, order.input)
    stretch = Stretch(order.speed)
    sound: Encoder = encoder(order.response_format)
    try:
        async for chunk in spoken:
            count.frames += len(chunk.pcm) // FRAME_SAMPLES
            if data := sound.encode(stretch.push(chunk.pcm)):
                yield data
        if data := sound.encode(stretch.finish()) + sound.finish():
            yield data
    finally:
        sound.close()
        await spoken.aclose()


def _event(content: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(content)}\n\n".encode()


_CONTENT: dict[str, Any] = {
    kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()
}
_CONTENT["text/event-stream"] = {"schema": {"type": "object", "required": ["data"]}}
