"""Which system an agent speaks with, by Verba's settings: `TTS_BACKEND` is `sesame` or `edge`.

`sesame` is CSM here: loaded with the first text and warmed up; where it cannot be loaded or fails, Edge TTS speaks.
`edge` is Microsoft's service in the network, by the package `edge-tts`. Both speak 16 kHz, mono, 16 bit, unless
another rate is asked for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from agents.edge_voice import DEFAULT_VOICE, EdgeVoice
from agents.engine import chosen_model
from agents.voices import FallbackVoice, LazyEngine, SesameVoice, Voice
from csm_plugin.audio import to_int16
from csm_plugin.errors import SettingsError
from csm_plugin.settings import SAMPLE_RATE_HZ
from csm_plugin.text import SentenceSplitter, is_speakable

RATE_HZ = 16_000
MAX_SPEAKER = 99

Pcm16 = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Choice:
    """What Verba's settings say.

    Args:
        name: `sesame` or `edge`.
        speaker: under which number `sesame` speaks.
        edge: Edge TTS, which speaks or takes over.
    """

    name: str
    speaker: int
    edge: EdgeVoice


class Backend:
    """What Verba calls a TTS manager, for one listener. For one event loop.

    Args:
        voice: speaks.
        sample_rate: of what it gives, in Hz.
    """

    def __init__(self, voice: Voice, sample_rate: int = RATE_HZ) -> None:
        self.sample_rate = sample_rate
        self._voice = voice

    @property
    def name(self) -> str:
        """`sesame` or `edge`."""
        return self._voice.name

    async def generate_audio(self, text_stream: AsyncIterable[str]) -> AsyncGenerator[Pcm16, None]:
        """Speak a text while it is written, sentence by sentence: int16 [samples], mono.

        Raises:
            CSMError: a sentence cannot be spoken.
        """
        async for sentence in _sentences(text_stream):
            async with contextlib.aclosing(self.speak(sentence)) as pieces:
                async for samples in pieces:
                    yield samples

    async def speak(self, sentence: str) -> AsyncGenerator[Pcm16, None]:
        """Speak a sentence as it is made: int16 [samples], mono; nothing if it holds nothing speakable.

        Raises:
            CSMError: it cannot be spoken.
        """
        if not is_speakable(sentence):
            return
        resampler = soxr.ResampleStream(SAMPLE_RATE_HZ, self.sample_rate, 1, dtype="float32", quality="HQ")
        async with contextlib.aclosing(self._voice.speak(sentence)) as pieces:
            async for samples in pieces:
                if len(ready := resampler.resample_chunk(samples)):
                    yield to_int16(ready)
        if len(rest := resampler.resample_chunk(np.zeros(0, np.float32), last=True)):
            yield to_int16(rest)

    def another(self, sample_rate: int = RATE_HZ) -> Backend:
        """Return a backend for another listener; the model is shared."""
        return Backend(self._voice.another(), sample_rate)

    def close(self) -> None:
        """End this listener's conversation; the model stays. Never blocks."""
        self._voice.close()

    def cleanup(self) -> None:
        """Free the model."""
        self._voice.cleanup()


def read_choice(environment: Mapping[str, str] = os.environ) -> Choice | None:
    """Read what `TTS_BACKEND`, `SESAME_SPEAKER_ID` (0 to 99) and `TTS_VOICE` (Edge's) say; None without a backend.

    Raises:
        SettingsError: a value is none that is allowed, or `edge` is asked for and `edge-tts` is not installed.
    """
    name = environment.get("TTS_BACKEND", "").strip().lower()
    if not name:
        return None
    if name not in ("sesame", "edge"):
        raise SettingsError(f"TTS_BACKEND is {name!r}; it must be sesame or edge")
    number = environment.get("SESAME_SPEAKER_ID", "").strip() or "0"
    if not (number.isascii() and number.isdecimal() and int(number) <= MAX_SPEAKER):
        raise SettingsError(f"SESAME_SPEAKER_ID is {number!r}; it must be a number from 0 to {MAX_SPEAKER}")
    edge = EdgeVoice(environment.get("TTS_VOICE", "").strip() or DEFAULT_VOICE)
    if name == "edge":
        edge.check()
    return Choice(name, int(number), edge)


def chosen_backend(environment: Mapping[str, str] = os.environ, model: str | None = None) -> Backend | None:
    """Make the backend that `TTS_BACKEND` names; None where it names none.

    Args:
        environment: see `read_choice`.
        model: what `sesame` loads; by default `CSM_MODEL`, else the bundled one.

    Raises:
        SettingsError: see `read_choice`.
    """
    choice = read_choice(environment)
    if choice is None:
        return None
    if choice.name == "edge":
        return Backend(choice.edge)
    from csm_plugin.engine import Engine  # here, as LiveKit's jobs have no need of torch

    engine = LazyEngine(lambda: Engine.load(chosen_model(model)), choice.speaker)
    return Backend(FallbackVoice(SesameVoice(engine, choice.speaker), choice.edge))


async def _sentences(text_stream: AsyncIterable[str]) -> AsyncGenerator[str, None]:
    splitter = SentenceSplitter()
    async for delta in text_stream:
        for sentence in splitter.feed(delta):
            yield sentence
    for sentence in splitter.flush():
        yield sentence
