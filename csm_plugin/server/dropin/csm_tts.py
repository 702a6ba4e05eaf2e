"""csm_tts: `/generate/wav`, `/stream` and `/stream/chunks`; its `/generate` and `/health` are in `shared_paths`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Query, Response, WebSocket
from pydantic import BaseModel, Field

from csm_plugin.errors import CSMError, EngineClosedError, InputError
from csm_plugin.server.dropin.exchange import Exchange, Fields, Finished, read_form, told_of
from csm_plugin.server.dropin.orders import (
    CsmFields,
    Order,
    Speaker,
    Text,
    base64_of,
    duration_ms,
    joined,
    limited,
    speak_order,
    wav_file,
)
from csm_plugin.server.http.sound_response import SoundResponse
from csm_plugin.server.http.speech import ERRORS
from csm_plugin.server.shared.service import Service
from csm_plugin.server.shared.watermark import WatermarkKey
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling
from csm_plugin.text.normalize import MAX_TEXT_CHARACTERS

if TYPE_CHECKING:
    from csm_plugin.engine import Conversation

DEFAULT_MS = 30_000
MAX_TEXTS = 256
WAV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}}
}
LINES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}


class CsmTtsOrder(CsmFields):
    """What csm_tts takes. A key without `watermark` demands a watermark too."""

    speaker_id: Speaker | None = None
    watermark: bool | None = None
    watermark_key: WatermarkKey | None = None

    @property
    def order(self) -> Order:
        """The text and how it is said."""
        return Order(
            self.text, self.sampling(DEFAULT_MS), self.speaker_id or 0, watermark=self.watermark,
            watermark_key=self.watermark_key,
        )  # fmt: skip


class CsmTtsAnswer(BaseModel):
    """What csm_tts gives for a text."""

    audio_base64: str
    sample_rate: int = SAMPLE_RATE_HZ
    duration_ms: float
    processing_time_ms: float
    watermarked: bool = False


class StreamMessage(CsmTtsOrder):
    """A message on `/stream`; one with `done` needs no text."""

    text: Text | None = None  # type: ignore[assignment]
    done: bool = False


Texts = Annotated[list[Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]], Field(max_length=MAX_TEXTS)]


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["csm_tts"])

    @routes.post("/generate/wav", response_class=Response, responses=ERRORS | WAV)
    async def generate_wav(order: CsmTtsOrder) -> Response:
        """Speak a text and give it as a WAV file."""

        async def sound() -> AsyncGenerator[bytes, None]:
            yield wav_file(await joined(speak_order(service, order.order)))

        response = SoundResponse(sound(), "audio/wav", service.settings.stall_s)
        response.headers["Content-Disposition"] = "attachment; filename=speech.wav"
        return response

    @routes.post("/stream/chunks", response_class=Response, responses=ERRORS | LINES)
    async def chunks(
        texts: Annotated[Texts, Body()],
        speaker_id: Annotated[Speaker, Query()] = 0,
        watermark: Annotated[bool | None, Query()] = None,
    ) -> Response:
        """Speak texts one after the other; give a line of JSON for each as soon as it is spoken."""
        sampling = Sampling(max_seconds=DEFAULT_MS / 1000)
        lines = _lines(service, texts, Order("", sampling, speaker_id, watermark=watermark))
        return SoundResponse(lines, "application/x-ndjson", service.settings.stall_s)

    @routes.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        reader = Reader(service)
        with contextlib.closing(reader):
            await Exchange(service, socket, reader.answer).run()

    return routes


class Reader:
    """Speaks the texts of one client in one conversation, so that the voice stays. For one event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._talk: Conversation | None = None

    async def answer(self, fields: Fields) -> AsyncGenerator[bytes | Fields, None]:
        """Answer a message on `/stream`."""
        message = read_form(StreamMessage, fields)
        if message.done:
            yield {"status": "closed"}
            raise Finished
        if message.text is None:
            yield {"error": "No text provided", "code": "missing"}
            return
        yield await self.speak(message.order)

    async def speak(self, order: Order) -> Fields:
        """Speak a text after what was said before.

        Raises:
            CSMError: as `Service.open` and `Service.speak` do.
        """
        began = time.perf_counter()
        service, talk = self._service, self._open(order)
        try:
            pcm = await joined(limited(service.speak(talk, order.text), order.sampling.max_seconds))
        except EngineClosedError:
            self.close()
            raise
        return {
            "text": order.text,
            "audio_base64": base64_of(wav_file(pcm)),
            "sample_rate": SAMPLE_RATE_HZ,
            "duration_ms": duration_ms(pcm),
            "processing_time_ms": round((time.perf_counter() - began) * 1000, 1),
        }

    def close(self) -> None:
        """End the conversation; the next text begins another."""
        if self._talk is not None:
            self._talk.close()
            self._talk = None

    def _open(self, order: Order) -> Conversation:
        service = self._service
        service.check_open()
        service.check_watermark(order.watermark, order.watermark_key)
        if self._talk is None:
            self._talk = service.open(None, order.speaker, order.sampling, watermark=False)
        self._talk.configure(speaker=order.speaker, sampling=order.sampling)
        return self._talk


async def _lines(service: Service, texts: list[str], order: Order) -> AsyncGenerator[bytes, None]:
    """Give the lines of `/stream/chunks`. A text that cannot be spoken has a line that says so."""
    begun = False
    with contextlib.closing(Reader(service)) as reader:
        for text in texts:
            if not text.strip():
                continue
            try:
                line = await reader.speak(Order(text, order.sampling, order.speaker, watermark=order.watermark))
            except CSMError as error:
                if not begun and not isinstance(error, InputError):
                    raise
                service.keeper.note(error)
                yield _line(told_of(error))
                if not isinstance(error, InputError):
                    return
            else:
                yield _line(line)
            begun = True


def _line(fields: Fields) -> bytes:
    return f"{json.dumps(fields)}\n".encode()
