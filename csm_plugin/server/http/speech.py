"""`POST /v1/audio/speech`, as OpenAI defines it."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
from fastapi import APIRouter, Response

from csm_plugin.errors import CSMError
from csm_plugin.server.formats.encoders import Pcm, encoded
from csm_plugin.server.formats.names import MEDIA_TYPES
from csm_plugin.server.formats.stretch import stretched
from csm_plugin.server.http.sound_response import SoundResponse
from csm_plugin.server.http.speech_order import STANDING_FOR_ANY, SpeechOrder
from csm_plugin.server.shared.errors import ErrorBody, Refusal, code_of
from csm_plugin.server.shared.service import Service
from csm_plugin.settings import FRAME_SAMPLES
from csm_plugin.text.normalize import normalize

MOMENT_FRAMES = 3

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": told}
    for status, told in {
        400: "The body is no JSON.",
        401: "No valid key.",
        403: "A page of an origin that is not allowed.",
        404: "There is no such thing.",
        409: "It is in the way of what is there.",
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


def router(service: Service) -> APIRouter:
    """Make the route."""
    routes = APIRouter(tags=["speech"])

    @routes.post(
        "/v1/audio/speech",
        response_class=Response,
        responses=ERRORS | {200: {"content": SOUND_CONTENT | EVENT_CONTENT}},
    )
    async def speech(order: SpeechOrder) -> Response:
        """Speak a text. The sound is sent while it is made, unless a finished file is asked for."""
        check_model(service, order.model)
        order.check_others()
        voice, warnings = _voice_for(service, order.voice_name)
        if not order.is_moment:
            normalize(order.input)  # refuses what holds nothing speakable, before anything is opened
        if order.instructions and service.settings.instructions == "refuse":
            raise Refusal("CSM follows no instructions; leave them out", status=422, code="unsupported_field",
                          param="instructions")  # fmt: skip
        if order.instructions:
            warnings.append("instructions are passed over: CSM follows none")
        if not order.is_english:
            warnings.append("the language is passed over: CSM speaks English")
        if order.stream_format == "sse":
            sound, kind = _events(service, order, voice), "text/event-stream"
        else:
            sound, kind = _sound(service, order, voice, _Count()), MEDIA_TYPES[order.form]
        response = SoundResponse(sound, kind, service.settings.stall_s)
        for warning in warnings:
            response.headers.append("Warning", f'299 csm-plugin "{warning}"')
        return response

    return routes


def check_model(service: Service, name: str | None) -> str:
    """Return the loaded model's name, which is what the one that is asked for means.

    Raises:
        Refusal: it is another one.
        Unavailable: there is no engine.
    """
    loaded = service.engine.model_name
    if name and name != loaded and not STANDING_FOR_ANY.fullmatch(name):
        raise Refusal(
            f"there is no such model; this server speaks with {loaded}", status=404, code="model_not_found",
            param="model",
        )  # fmt: skip
    return loaded


def _voice_for(service: Service, name: str | None) -> tuple[str | None, list[str]]:
    """Return the voice that speaks, None for the default one, and what is to be said about that.

    Raises:
        VoiceError, Unavailable: none does.
    """
    if name is None or service.has_voice(name):
        return name, []
    if not service.stands_for_default(name):
        service.find_voice(name)  # says what is wrong with it
    service.find_voice(None)
    return None, ["there is no voice of that name here: the default one speaks"]


def _sound(service: Service, order: SpeechOrder, voice: str | None, count: _Count) -> AsyncGenerator[bytes, None]:
    """Give a text's sound in its format."""
    spoken = stretched(_spoken(service, order, voice, count), order.speed or 1.0)
    return encoded(spoken, order.form, finished=order.is_finished_first)


async def _events(service: Service, order: SpeechOrder, voice: str | None) -> AsyncGenerator[bytes, None]:
    """Give the same in server-sent events."""
    count = _Count()
    try:
        async with contextlib.aclosing(_sound(service, order, voice, count)) as parts:
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


async def _spoken(service: Service, order: SpeechOrder, voice: str | None, count: _Count) -> AsyncGenerator[Pcm, None]:
    """Speak it: float32 [samples]."""
    if order.is_moment:
        count.frames = MOMENT_FRAMES
        yield np.zeros(MOMENT_FRAMES * FRAME_SAMPLES, np.float32)
        return
    loudness = 1.0 if order.volume_multiplier is None else order.volume_multiplier
    talk = service.open(voice, order.speaker or 0, order.sampling)
    async with contextlib.aclosing(service.say(talk, order.input)) as chunks:
        async for chunk in chunks:
            count.frames += len(chunk.pcm) // FRAME_SAMPLES
            yield chunk.pcm if loudness == 1 else np.clip(chunk.pcm * np.float32(loudness), -1, 1)


def event(content: dict[str, Any]) -> bytes:
    """Return a server-sent event."""
    return f"data: {json.dumps(content)}\n\n".encode()
