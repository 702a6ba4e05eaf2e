"""The server as a client is told of it, and the rows of the table of clients in docs/dropin.md: each is a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai

from csm_plugin.audio import to_int16
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling
from tests.server.decoding import decode
from tests.server.running import RunningServer

KEY = "correct-horse"
TEXT = "Hello there."
NEAR_S = 0.025


@dataclass(frozen=True, slots=True)
class Door:
    """What a client is told of the server."""

    server: RunningServer
    page: str
    """The origin of a page that may use it."""

    folder: Path

    @property
    def base(self) -> str:
        return f"{self.server.url}/v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEY}"}

    @property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.base, api_key=KEY, max_retries=0)

    def said(self, text: str = TEXT) -> np.ndarray:
        """What the engine says by itself, int16 [samples]."""
        return to_int16(self.server.engine.synthesize(text, sampling=Sampling(seed=1)))

    def holds_what_was_said(self, data: bytes, form: str = "mp3") -> None:
        heard = np.frombuffer(data, "<i2") if form == "pcm" else decode(data)
        assert 0 <= len(heard) - len(self.said()) <= NEAR_S * SAMPLE_RATE_HZ

    def post(self, **fields: Any) -> httpx.Response:
        order = {"input": TEXT, "seed": 1} | fields
        return httpx.post(f"{self.base}/audio/speech", json=order, headers=self.headers, timeout=60)


ROWS: dict[tuple[str, str, str], Callable[[Door], Any]] = {}


def row(whose: str, call: str, result: str) -> Callable[[Callable[[Door], Any]], Callable[[Door], Any]]:
    """Make a test a row of the table."""

    def keep(test: Callable[[Door], Any]) -> Callable[[Door], Any]:
        ROWS[whose, call, result] = test
        return test

    return keep
