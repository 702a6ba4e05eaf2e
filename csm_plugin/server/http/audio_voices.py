"""`/v1/audio/voices` and `/v1/audio/voice_consents`: the voices as OpenAI's client, Open WebUI and others have them."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Query, UploadFile
from pydantic import BaseModel, Field

from csm_plugin.conversation.prepared_voice import MAX_PROMPT_S
from csm_plugin.server.http.speech import ERRORS
from csm_plugin.server.shared.consents import Consent, ConsentShelf
from csm_plugin.server.shared.errors import Refusal
from csm_plugin.server.shared.service import Service
from csm_plugin.text.normalize import MAX_TEXT_CHARACTERS

UNNAMED = re.compile(r"[^A-Za-z0-9_-]+")
"""What a name here cannot have."""

Label = Annotated[str, Form(min_length=1, max_length=64, description="How it is called.")]


class AudioVoice(BaseModel):
    """A voice, as OpenAI describes one; `name` is also what Open WebUI shows."""

    id: str
    object: Literal["audio.voice"] = "audio.voice"
    created_at: int = 0
    name: str
    type: Literal["audio_sample"] = "audio_sample"


class AudioVoices(BaseModel):
    """All voices: under `data` as OpenAI lists things, under `voices` as Open WebUI reads them."""

    object: Literal["list"] = "list"
    data: list[AudioVoice]
    voices: list[AudioVoice]


class VoiceDeleted(BaseModel):
    """A voice is no more."""

    id: str
    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"
    deleted: bool = True


class VoiceConsent(Consent):
    """A consent, as OpenAI describes one."""

    object: Literal["audio.voice_consent"] = "audio.voice_consent"


class VoiceConsents(BaseModel):
    """A page of consents."""

    object: Literal["list"] = "list"
    data: list[VoiceConsent]
    has_more: bool


class ConsentDeleted(BaseModel):
    """A consent is no more."""

    id: str
    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    deleted: bool = True


class ConsentName(BaseModel):
    """What a consent is called."""

    name: str = Field(min_length=1, max_length=64)


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["audio voices"], responses={status: ERRORS[status] for status in (401, 403, 503)})
    consents = ConsentShelf(service.shelf.path, service.settings.max_voices)
    add_voice_routes(routes, service, consents)
    add_consent_routes(routes, service, consents)
    return routes


def add_voice_routes(routes: APIRouter, service: Service, consents: ConsentShelf) -> None:
    """Add those of the voices, which need a consent."""

    @routes.get("/v1/audio/voices")
    async def voices() -> AudioVoices:
        """List the voices that may be asked for."""
        found = [AudioVoice(id=name, name=name) for name in sorted({*service.model_voices, *service.shelf.names})]
        return AudioVoices(data=found, voices=found)

    @routes.post("/v1/audio/voices", responses={status: ERRORS[status] for status in (404, 409, 413, 422)})
    async def add_voice(
        name: Label,
        audio_sample: Annotated[UploadFile, File(description="WAV, FLAC, MP3 or Ogg, best 5 to 30 s, at most 60 s.")],
        consent: Annotated[str, Form(max_length=256, description="The id of a consent.")],
        text: Annotated[
            str,
            Form(max_length=MAX_TEXT_CHARACTERS, description="The recording's words, without which CSM has no voice."),
        ] = "",
        type: Annotated[Literal["audio_sample"], Form()] = "audio_sample",
    ) -> AudioVoice:
        """Add a voice from a recording, its words, and the consent of whoever speaks."""
        await asyncio.to_thread(consents.find, consent)
        if not text.strip():
            raise Refusal("send text too, the words of the recording: CSM follows both", status=422, code="missing",
                          param="text")  # fmt: skip
        called = UNNAMED.sub("-", name).strip("-_")
        await service.add_voice(called, text, await audio_sample.read())
        return AudioVoice(id=called, name=called, created_at=int(time.time()))

    @routes.delete("/v1/audio/voices/{name}", responses={status: ERRORS[status] for status in (404, 409)})
    async def remove_voice(name: str) -> VoiceDeleted:
        """Remove an uploaded voice."""
        await service.remove_voice(name)
        return VoiceDeleted(id=name)


def add_consent_routes(routes: APIRouter, service: Service, consents: ConsentShelf) -> None:
    """Add those of the consents."""

    @routes.post("/v1/audio/voice_consents", responses={status: ERRORS[status] for status in (409, 413, 422)})
    async def add_consent(
        name: Label,
        language: Annotated[str, Form(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=35)],
        recording: Annotated[UploadFile, File(description="WAV, FLAC, MP3 or Ogg, at most 30 s.")],
    ) -> VoiceConsent:
        """Keep a recording in which somebody consents."""
        pcm = await service.decode(await recording.read(), MAX_PROMPT_S)
        async with service.changing_voices:
            return _told(await asyncio.to_thread(consents.add, name, language, pcm))

    @routes.get("/v1/audio/voice_consents")
    async def list_consents(
        after: Annotated[str | None, Query(max_length=256)] = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> VoiceConsents:
        """List the consents."""
        known = await asyncio.to_thread(lambda: consents.all)
        first = next((number + 1 for number, one in enumerate(known) if one.id == after), 0)
        page = known[first : first + limit]
        return VoiceConsents(data=[_told(one) for one in page], has_more=first + limit < len(known))

    @routes.get("/v1/audio/voice_consents/{id}", responses={404: ERRORS[404]})
    async def consent(id: str) -> VoiceConsent:
        """Describe a consent."""
        return _told(await asyncio.to_thread(consents.find, id))

    @routes.post("/v1/audio/voice_consents/{id}", responses={status: ERRORS[status] for status in (404, 422)})
    async def rename_consent(id: str, order: ConsentName) -> VoiceConsent:
        """Change what a consent is called."""
        async with service.changing_voices:
            return _told(await asyncio.to_thread(consents.rename, id, order.name))

    @routes.delete("/v1/audio/voice_consents/{id}", responses={404: ERRORS[404]})
    async def remove_consent(id: str) -> ConsentDeleted:
        """Remove a consent; voices that were added with it stay."""
        async with service.changing_voices:
            await asyncio.to_thread(consents.remove, id)
        return ConsentDeleted(id=id)


def _told(consent: Consent) -> VoiceConsent:
    return VoiceConsent(**consent.model_dump())
