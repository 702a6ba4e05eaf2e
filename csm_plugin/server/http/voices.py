"""`/v1/voices`: list, add by upload, remove. There are no voices by URL.

An upload is checked and prepared as `csm voices add` does it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, UploadFile
from pydantic import BaseModel

from csm_plugin.conversation.voice_folder import VOICE_NAME, check_voice_name
from csm_plugin.server.http.speech import ERRORS
from csm_plugin.server.shared.service import Service
from csm_plugin.settings import VoiceStyle
from csm_plugin.text.normalize import MAX_TEXT_CHARACTERS


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

    @routes.get("/v1/voices")
    async def voices() -> Voices:
        """List the voices that may be asked for."""
        return Voices(
            data=[Voice(id=name, source="model") for name in service.model_voices]
            + [Voice(id=name, source="upload") for name in service.shelf.names]
        )

    @routes.post("/v1/voices", status_code=201, responses={status: ERRORS[status] for status in (409, 413, 422)})
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
        await service.add_voice(name, text, await file.read(), style)
        return Voice(id=name, source="upload")

    @routes.delete("/v1/voices/{name}", status_code=204, responses={status: ERRORS[status] for status in (404, 409)})
    async def remove_voice(name: str) -> None:
        """Remove an uploaded voice."""
        await service.remove_voice(name)

    return routes
