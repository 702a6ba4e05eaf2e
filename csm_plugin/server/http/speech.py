"""`POST /v1/audio/speech`, as OpenAI defines it."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from csm_plugin.errors import CSMError
from csm_plugin.server.formats.encoders import MEDIA_TYPES, Pcm, SoundFormat, encoded
from csm_plugin.server.formats.stretch import MAX_SPEED, MIN_SPEED, stretched
from csm_plugin.server.http.sound_response import SoundResponse
from csm_plugin.server.shared.errors import ErrorBody, Refusal, code_of
from csm_plugin.server.shared.service import Service
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

SOUND_CONTENT: dict[str, Any] = {
    kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()
}
EVENT_CONTENT: dict[str, Any] = {"text/event-stream": {"schema": {"type": "object", "required": ["data"]}}}
"""What OpenAPI says of a response that is sound, and of one that is events."""

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
    instructions: str | None = Field(
        None, description="Not supported: CSM follows none.", json_schema_extra={"maxLength": 0}
    )
    speaker: int = Field(0, ge=0, le=99, description="CSM's speaker number.")
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="0 is greedy.")
    top_k: int | None = Field(None, ge=1, le=4096, description="How many of the likeliest codes may be drawn.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="The same seed says it the same way again.")

    @field_validator("instructions")
    @classmethod
    def _none(cls, instructions: str | None) -> str | None:
        if instructions:
            raise ValueError("CSM follows none; leave them out")
        return instructions

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

    @routes.post(
        "/v1/audio/speech",
        response_class=Response,
        responses=ERRORS | {200: {"content": SOUND_CONTENT | EVENT_CONTENT}},
    )
    async def speech(order: SpeechOrder) -> Response:
        """Speak a text. The sound is sent while it is made."""
        engine = service.engine
        if order.model not in OPENAI_MODELS | {engine.model_name, "csm"}:
            raise Refusal(
                f"there is no such model; this server speaks with {engine.model_name}", status=404,
                code="model_not_found", param="model",
            )  # fmt: skip
        normalize(order.input)  # refuses what holds nothing speakable, before anything is opened
        if order.stream_format == "sse":
            return SoundResponse(_events(service, order), "text/event-stream", service.settings.stall_s)
        sound = _sound(service, order, _Count())
        return SoundResponse(sound, MEDIA_TYPES[order.response_format], service.settings.stall_s)

    return routes


def _sound(service: Service, order: SpeechOrder, count: _Count) -> AsyncGenerator[bytes, None]:
    """Give a text's sound in its format, as it is made."""
    return encoded(stretched(_spoken(service, order, count), order.speed), order.response_format)


async def _events(service: Service, order: SpeechOrder) -> AsyncGenerator[bytes, None]:
    """Give the same in server-sent events."""
    count = _Count()
    try:
        async with contextlib.aclosing(_sound(service, order, count)) as parts:
            async for data in parts:
                yield event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
    except CSMError as error:
        if not count.frames:
            raise
        yield event({"type": "error", "error": {"message": str(error), "code": code_of(error)}})
        return
    usage = {"input_tokens": len(order.input), "output_tokens": count.frames}
    yield event({"type": "speech.audio.done", "usage": usage | {"total_tokens": sum(usage.values())}})


class _Count:
    """How many frames were spoken."""

    frames = 0


async def _spoken(service: Service, order: SpeechOrder, count: _Count) -> AsyncGenerator[Pcm, None]:
    """Speak it: float32 [samples]."""
    talk = service.open(order.voice_name, order.speaker, order.sampling)
    async with contextlib.aclosing(service.say(talk, order.input)) as chunks:
        async for chunk in chunks:
            count.frames += len(chunk.pcm) // FRAME_SAMPLES
            yield chunk.pcm


def event(content: dict[str, Any]) -> bytes:
    """Return a server-sent event."""
    return f"data: {json.dumps(content)}\n\n".encode()
