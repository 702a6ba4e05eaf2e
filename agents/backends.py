"""Which system an agent speaks with, by Verba's settings: `TTS_BACKEND` is `sesame` or `edge`.

`sesame` is CSM here: loaded with the first text and warmed up; where it cannot be loaded or fails, Edge TTS speaks.
`edge` is Microsoft's service in the network, by the package `edge-tts`. Both speak 16 kHz, mono, 16 bit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt
import soxr
from loguru import logger

from agents.engine import chosen_model
from csm_plugin.audio import to_int16
from csm_plugin.engine import Conversation, Engine
from csm_plugin.errors import CSMError, GenerationError, SettingsError
from csm_plugin.settings import SAMPLE_RATE_HZ
from csm_plugin.text import SentenceSplitter, is_speakable

RATE_HZ = 16_000
EDGE_VOICE = "en-US-GuyNeural"
WARM_UP_TEXT = "Hello."

Pcm16 = npt.NDArray[np.int16]


class Voice(Protocol):
    """Speaks sentences."""

    name: str

    def speak(self, text: str) -> AsyncGenerator[Pcm16, None]:
        """Speak a sentence: int16 [samples], 16 kHz, as it is made. Closing the generator stops it.

        Raises:
            CSMError: it cannot be spoken.
        """

    def another(self) -> Voice:
        """Return the same voice for another listener, who shares what costs memory and nothing else."""

    def cleanup(self) -> None:
        """Free what it and all others share."""


class LazyEngine:
    """An engine that is loaded and warmed up when it is first asked for. For one event loop.

    Args:
        load: loads it; called in a thread, once.
        speaker: under which number it warms up.
    """

    def __init__(self, load: Callable[[], Engine], speaker: int = 0) -> None:
        self._load = load
        self._speaker = speaker
        self._loading: asyncio.Task[Engine] | None = None

    async def get(self) -> Engine:
        """Return it.

        Raises:
            CSMError: it cannot be loaded; later calls raise the same.
        """
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self._load_warm), name="lazy-engine")
        return await asyncio.shield(self._loading)

    def close(self) -> None:
        """Close it, if it was loaded."""
        if self._loading is not None and self._loading.done() and self._loading.exception() is None:
            self._loading.result().close()

    def _load_warm(self) -> Engine:
        engine = self._load()
        try:
            engine.synthesize(WARM_UP_TEXT, speaker=self._speaker)
        except BaseException:
            engine.close()
            raise
        logger.info("model loaded and warm", model=engine.model_name, device=engine.device)
        return engine


class SesameVoice:
    """CSM. What it says is one conversation, so that the voice stays. For one event loop.

    Args:
        engine: speaks.
        speaker: under which number.
    """

    name = "sesame"

    def __init__(self, engine: LazyEngine, speaker: int = 0) -> None:
        self._engine = engine
        self._speaker = speaker
        self._talk: Conversation | None = None

    async def speak(self, text: str) -> AsyncGenerator[Pcm16, None]:
        """See `Voice`."""
        engine = await self._engine.get()
        if self._talk is None:
            self._talk = engine.conversation(speaker=self._speaker)
        resampler = soxr.ResampleStream(SAMPLE_RATE_HZ, RATE_HZ, 1, dtype="float32", quality="HQ")
        utterance = self._talk.speak(text)
        try:
            async for chunk in utterance:
                samples = to_int16(resampler.resample_chunk(chunk.pcm))
                if len(samples):
                    yield samples
            yield to_int16(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        finally:
            utterance.cancel()

    def another(self) -> SesameVoice:
        """See `Voice`."""
        return SesameVoice(self._engine, self._speaker)

    def cleanup(self) -> None:
        """See `Voice`."""
        self._engine.close()


class EdgeVoice:
    """Microsoft Edge's speech service. The text goes to it over the network.

    Args:
        voice: one of its names.
    """

    name = "edge"

    def __init__(self, voice: str = EDGE_VOICE) -> None:
        self._voice = voice

    async def speak(self, text: str) -> AsyncGenerator[Pcm16, None]:
        """See `Voice`."""
        communicate = _edge_tts().Communicate(text, self._voice)
        decoder = _Mp3Decoder()
        try:
            async with contextlib.aclosing(communicate.stream()) as messages:
                async for message in messages:
                    if message["type"] == "audio" and len(samples := decoder.decode(message["data"])):
                        yield samples
        except Exception as error:  # whatever its network library raises
            raise GenerationError(f"Edge TTS failed ({type(error).__name__}); is the network there?") from error
        if len(samples := decoder.finish()):
            yield samples

    def another(self) -> EdgeVoice:
        """See `Voice`."""
        return self

    def cleanup(self) -> None:
        """See `Voice`."""


class FallbackVoice:
    """A voice, and another one for each sentence that it cannot begin."""

    def __init__(self, first: Voice, second: Voice) -> None:
        self.name = first.name
        self._first = first
        self._second = second

    async def speak(self, text: str) -> AsyncGenerator[Pcm16, None]:
        """See `Voice`."""
        heard = False
        try:
            async with contextlib.aclosing(self._first.speak(text)) as pieces:
                async for samples in pieces:
                    heard = True
                    yield samples
                return
        except CSMError as error:
            if heard:
                raise
            logger.warning("{} cannot speak ({}): {} does", self._first.name, error, self._second.name)
        async with contextlib.aclosing(self._second.speak(text)) as pieces:
            async for samples in pieces:
                yield samples

    def another(self) -> FallbackVoice:
        """See `Voice`."""
        return FallbackVoice(self._first.another(), self._second.another())

    def cleanup(self) -> None:
        """See `Voice`."""
        self._first.cleanup()
        self._second.cleanup()


class Backend:
    """What Verba calls a TTS manager. For one event loop."""

    sample_rate = RATE_HZ

    def __init__(self, voice: Voice) -> None:
        self.voice = voice

    async def generate_audio(self, text_stream: AsyncIterable[str]) -> AsyncGenerator[Pcm16, None]:
        """Speak a text while it is written, sentence by sentence: int16 [samples], 16 kHz, mono.

        Raises:
            CSMError: a sentence cannot be spoken.
        """
        splitter = SentenceSplitter()
        async for delta in text_stream:
            for sentence in splitter.feed(delta):
                async for samples in self._speak(sentence):
                    yield samples
        for sentence in splitter.flush():
            async for samples in self._speak(sentence):
                yield samples

    def another(self) -> Backend:
        """Return a backend for another listener; the model is shared."""
        return Backend(self.voice.another())

    async def _speak(self, sentence: str) -> AsyncGenerator[Pcm16, None]:
        if is_speakable(sentence):
            async with contextlib.aclosing(self.voice.speak(sentence)) as pieces:
                async for samples in pieces:
                    yield samples

    def cleanup(self) -> None:
        """Free the model."""
        self.voice.cleanup()


def chosen_backend(environment: Mapping[str, str] = os.environ, model: str | None = None) -> Backend | None:
    """Make the backend that `TTS_BACKEND` names; None where it names none.

    Args:
        environment: `TTS_BACKEND`, `SESAME_SPEAKER_ID` (0 to 99), `TTS_VOICE` for Edge.
        model: what `sesame` loads; by default `CSM_MODEL`, else the bundled one.

    Raises:
        SettingsError: a value is none that is allowed, or `edge` is asked for and `edge-tts` is not installed.
    """
    name = environment.get("TTS_BACKEND", "").strip().lower()
    if not name:
        return None
    edge = EdgeVoice(environment.get("TTS_VOICE") or EDGE_VOICE)
    if name == "edge":
        _edge_tts()
        return Backend(edge)
    if name != "sesame":
        raise SettingsError(f"TTS_BACKEND is {name!r}; it must be sesame or edge")
    number = environment.get("SESAME_SPEAKER_ID", "0").strip()
    if not number.isdecimal() or int(number) > 99:
        raise SettingsError(f"SESAME_SPEAKER_ID is {number!r}; it must be a number from 0 to 99")
    engine = LazyEngine(lambda: Engine.load(chosen_model(model)), int(number))
    return Backend(FallbackVoice(SesameVoice(engine, int(number)), edge))


def _edge_tts() -> Any:
    try:
        import edge_tts
    except ImportError:
        raise SettingsError("Edge TTS needs the package edge-tts: pip install edge-tts") from None
    return edge_tts


class _Mp3Decoder:
    """MP3 as it comes in, to 16 kHz."""

    def __init__(self) -> None:
        self._codec: Any = av.CodecContext.create("mp3", "r")
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)

    def decode(self, data: bytes) -> Pcm16:
        """Take bytes in; return what they complete, int16 [samples]."""
        return self._samples(self._codec.parse(data))

    def finish(self) -> Pcm16:
        """Return the rest."""
        return self._samples([*self._codec.parse(b""), None])

    def _samples(self, packets: list[Any]) -> Pcm16:
        frames = [out for packet in packets for frame in self._codec.decode(packet) for out in self._resample(frame)]
        if None in packets:
            frames += self._resample(None)
        parts = [frame.to_ndarray().reshape(-1) for frame in frames]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def _resample(self, frame: Any) -> list[Any]:
        return list(self._resampler.resample(frame))
