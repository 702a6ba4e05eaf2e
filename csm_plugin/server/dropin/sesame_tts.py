"""Sesame_TTS, as it runs on Modal: a text in JSON, a WAV file back. Its routes are in `shared_paths`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal

from pydantic import BaseModel

from csm_plugin.server.dropin.exchange import Fields, read_form
from csm_plugin.server.dropin.orders import CsmFields, Order, Speaker, joined, speak_order, wav_file
from csm_plugin.server.shared.service import Service
from csm_plugin.settings import SAMPLE_RATE_HZ

DEFAULT_MS = 10_000


class SesameOrder(CsmFields):
    """What Sesame_TTS takes."""

    speaker: Speaker = 0

    @property
    def order(self) -> Order:
        """The text and how it is said."""
        return Order(self.text, self.sampling(DEFAULT_MS), self.speaker)


class SesameAnswer(BaseModel):
    """What Sesame_TTS gives for a text."""

    audio: str
    format: Literal["wav"] = "wav"
    sample_rate: int = SAMPLE_RATE_HZ


async def answer(service: Service, fields: Fields) -> AsyncGenerator[bytes | Fields, None]:
    """Answer a message on `/ws` with a WAV file in one binary message."""
    order = read_form(SesameOrder, fields).order
    yield wav_file(await joined(speak_order(service, order)))
