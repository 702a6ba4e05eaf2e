"""`/v1/voices`: list, add by upload, remove. There are no voices by URL.

An upload is checked and prepared as `csm voices add` does it.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, UploadFile
from pydantic import BaseModel

from csm_plugin.conversation import VoicePrompt
from csm_plugin.conversation.prepared_voice import prepare_voice
from csm_plugin.conversation.voice_folder import VOICE_NAME, check_voice_name
from csm_plugin.server.http.speech import ERRORS
from csm_plugin.server.shared.service import Service
from csm_plugin.server.shared.uploads import decode_channels
from csm_plugin.settings import SAMPLE_RATE_HZ, VoiceStyle
from csm_plugin.text.normalize import MAX_TEXT_CHARACTERS

MAX_RECORDING_S = 60.0
"""The longest upload; what is over 30 s is cut off at the end of a sentence."""


class Voice(BaseModel):
    """A voice."""

    id: str
    object: Literal["voice"] = "voice"
    source: Literal["model", "upload"]
    """Where it comes from; only an upload can be removed."""


class Voices(BaseModel):
    """All voices."""

    object: Literal["list"] = "list"
    data: list[Voice]


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["voices"], responses={status: ERRORS[status] for status in (401, 403, 503)})
    adding = asyncio.Lock()

    @routes.get("/v1/voices")
    async def voices() -> Voices:
        """List the voices that may be asked for."""
        return Voices(
            data=[Voice(id=name, source="model") for name in service.model_voices]
            + [Voice(id=name, source="upload") for name in service.shelf.names]
        )

    @routes.post("/v1/voices", status_code=201, responses={status: ERRORS[status] for status in (413, 422)})
    async def add_voice(
        name: Annotated[str, Form(pattern=f"^{VOICE_NAME.pattern}$", description="How it is called.")],
        text: Annotated[str, Form(min_length=1, max_length=MAX_TEXT_CHARACTERS, description="The recording's words.")],
        file: Annotated[UploadFile, File(description="WAV, FLAC, MP3 or Ogg, best 5 to 30 s, at most 60 s.")],
        style: Annotated[
            VoiceStyle | None, Form(description="How it is followed; as the model likes by default.")
        ] = None,
    ) -> Voice:
        """Add a voice from a recording and its words."""
        check_voice_name(name)
        data = await file.read()
        async with service.decoders:
            prompt = await asyncio.to_thread(_prompt_of, name, text, data, style)
        async with adding:
            await asyncio.to_thread(service.shelf.add, prompt, service.model_voices)
        service.announce_voices()
        return Voice(id=name, source="upload")

    @routes.delete("/v1/voices/{name}", status_code=204, responses={404: ERRORS[404]})
    async def remove_voice(name: str) -> None:
        """Remove an uploaded voice."""
        async with adding:
            await asyncio.to_thread(service.shelf.remove, name)
        service.announce_voices()

    return routes


def _prompt_of(name: str, text: str, data: bytes, style: VoiceStyle | None) -> VoicePrompt:
    """Make a voice of an upload.

    Raises:
        AudioError, VoiceError: the file cannot be read, or it and its text make no voice.
    """
    sound, rate = decode_channels(data, MAX_RECORDING_S)
    voice = prepare_voice(text, sound, rate)
    return VoicePrompt(name, voice.text, voice.pcm, SAMPLE_RATE_HZ, style)
