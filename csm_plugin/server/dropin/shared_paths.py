"""Paths that more than one system has: what is sent decides whose they are.

`POST /generate` is Sesame_TTS's with `speaker`, csm_tts's with `speaker_id`, `watermark` or `watermark_key`; with none
of them the answer has the fields of both. A message on `/ws` is csm-streaming-tf's with `audio`, `transcript` or
`response_text`, else Sesame_TTS's. `GET /health` tells what Morgan and csm_tts tell.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any, Self

from fastapi import APIRouter, Response, WebSocket
from pydantic import BaseModel, model_validator

import csm_plugin
from csm_plugin.server.dropin import csm_streaming_tf, sesame_tts
from csm_plugin.server.dropin.csm_tts import CsmTtsAnswer, CsmTtsOrder
from csm_plugin.server.dropin.exchange import Answer, Exchange, Fields
from csm_plugin.server.dropin.orders import Order, Speaker, base64_of, duration_ms, joined, speak_order, wav_file
from csm_plugin.server.dropin.sesame_tts import SesameAnswer
from csm_plugin.server.http.sound_response import SoundResponse
from csm_plugin.server.http.speech import ERRORS
from csm_plugin.server.shared.service import Service
from csm_plugin.settings import SAMPLE_RATE_HZ
from csm_plugin.text.normalize import normalize

CSM_TTS_ONLY = frozenset({"speaker_id", "watermark", "watermark_key"})
TURN_ONLY = frozenset({"audio", "transcript", "response_text"})


class GenerateOrder(CsmTtsOrder):
    """What Sesame_TTS or csm_tts takes."""

    speaker: Speaker | None = None

    @model_validator(mode="after")
    def _of_one(self) -> Self:
        if self.is_sesame and self.model_fields_set & CSM_TTS_ONLY:
            raise ValueError(
                "speaker is Sesame_TTS's; speaker_id, watermark and watermark_key are csm_tts's: send one's"
            )
        return self

    @property
    def is_sesame(self) -> bool:
        """Whether it is Sesame_TTS's."""
        return "speaker" in self.model_fields_set

    @property
    def is_csm_tts(self) -> bool:
        """Whether it is csm_tts's."""
        return bool(self.model_fields_set & CSM_TTS_ONLY)

    @property
    def order(self) -> Order:
        """The text and how it is said."""
        if self.is_sesame:
            return Order(self.text, self.sampling(sesame_tts.DEFAULT_MS), self.speaker or 0)
        return super().order


class EitherAnswer(CsmTtsAnswer, SesameAnswer):
    """What both give, where it cannot be told whose client asks."""


class DropInHealth(BaseModel):
    """How the server is, as Morgan and csm_tts tell it."""

    status: str
    model: str | None
    model_loaded: bool
    device: str
    sample_rate: int = SAMPLE_RATE_HZ
    streaming_enabled: bool
    version: str = csm_plugin.__version__


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["drop-in"])

    @routes.post(
        "/generate",
        response_class=Response,
        responses=ERRORS | {200: {"model": SesameAnswer | CsmTtsAnswer | EitherAnswer}},
    )
    async def generate(order: GenerateOrder) -> Response:
        """Speak a text and give a WAV file in base64, as Sesame_TTS or csm_tts does."""
        normalize(order.text)
        return SoundResponse(_answer(service, order), "application/json", service.settings.stall_s)

    @routes.get("/health", responses={503: {"model": DropInHealth, "description": "It cannot speak just now."}})
    async def health(response: Response) -> DropInHealth:
        """Tell whether it can speak now. Needs no key."""
        keeper = service.keeper
        ready = keeper.is_ready and not service.draining
        if not ready:
            response.status_code = 503
        return DropInHealth(
            status="healthy" if ready else "unhealthy",
            model=keeper.engine.model_name if keeper.is_ready else None,
            model_loaded=keeper.is_ready,
            device=keeper.engine.device if keeper.is_ready else "not loaded",
            streaming_enabled=service.settings.morgan.streaming_enabled,
        )

    @routes.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await Exchange(service, socket, _either(service), service.settings.max_turn_bytes).run()

    return routes


async def _answer(service: Service, asked: GenerateOrder) -> AsyncGenerator[bytes, None]:
    began = time.perf_counter()
    pcm = await joined(speak_order(service, asked.order))
    sound = base64_of(wav_file(pcm))
    own: dict[str, Any] = {
        "duration_ms": duration_ms(pcm), "processing_time_ms": round((time.perf_counter() - began) * 1000, 1),
    }  # fmt: skip
    told: BaseModel
    if asked.is_sesame:
        told = SesameAnswer(audio=sound)
    elif asked.is_csm_tts:
        told = CsmTtsAnswer(audio_base64=sound, **own)
    else:
        told = EitherAnswer(audio=sound, audio_base64=sound, **own)
    yield told.model_dump_json().encode()


def _either(service: Service) -> Answer:
    def answer(fields: Fields) -> AsyncGenerator[bytes | Fields, None]:
        whose = csm_streaming_tf if fields.keys() & TURN_ONLY else sesame_tts
        return whose.answer(service, fields)

    return answer
