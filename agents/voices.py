"""Voices that a backend speaks with: CSM, and one voice in the place of another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from loguru import logger

from csm_plugin.errors import CSMError

if TYPE_CHECKING:
    from csm_plugin.engine import Conversation, Engine

WARM_UP_TEXT = "Hello."

Pcm = npt.NDArray[np.float32]


class Voice(Protocol):
    """Speaks sentences to one listener."""

    name: str

    def speak(self, text: str) -> AsyncGenerator[Pcm, None]:
        """Speak a sentence: float32 [samples], mono, 24 kHz, as it is made. Closing the generator stops it.

        Raises:
            CSMError: it cannot be spoken.
        """

    def another(self) -> Voice:
        """Return the same voice for another listener, who shares what costs memory and nothing else."""

    def close(self) -> None:
        """End what this listener has of it. Never blocks."""

    def cleanup(self) -> None:
        """Free what it and all others share."""


class LazyEngine:
    """An engine that is loaded and warmed up, in a thread, when it is first asked for.

    Args:
        load: loads it; called once.
        speaker: under which number it warms up.
    """

    def __init__(self, load: Callable[[], Engine], speaker: int = 0) -> None:
        self._load = load
        self._speaker = speaker
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lazy-engine")
        self._loading: Future[Engine] | None = None

    async def get(self) -> Engine:
        """Return it. Cancelling the wait doesn't stop the load.

        Raises:
            CSMError: it cannot be loaded; later calls raise the same.
        """
        if self._loading is None:
            self._loading = self._thread.submit(self._load_warm)
        return await asyncio.shield(asyncio.wrap_future(self._loading))

    def close(self) -> None:
        """Close it; if it is being loaded, as soon as it is there."""
        self._thread.shutdown()
        if self._loading is not None and self._loading.exception() is None:
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

    async def speak(self, text: str) -> AsyncGenerator[Pcm, None]:
        """See `Voice`."""
        engine = await self._engine.get()
        if self._talk is None:
            self._talk = engine.conversation(speaker=self._speaker)
        utterance = self._talk.speak(text)
        try:
            async for chunk in utterance:
                yield chunk.pcm
        finally:
            utterance.cancel()

    def another(self) -> SesameVoice:
        """See `Voice`."""
        return SesameVoice(self._engine, self._speaker)

    def close(self) -> None:
        """See `Voice`."""
        if self._talk is not None:
            self._talk.close()

    def cleanup(self) -> None:
        """See `Voice`."""
        self._engine.close()


class FallbackVoice:
    """A voice, and another one for each sentence that it cannot begin."""

    def __init__(self, first: Voice, second: Voice) -> None:
        self.name = first.name
        self._first = first
        self._second = second

    async def speak(self, text: str) -> AsyncGenerator[Pcm, None]:
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

    def close(self) -> None:
        """See `Voice`."""
        self._first.close()
        self._second.close()

    def cleanup(self) -> None:
        """See `Voice`."""
        self._first.cleanup()
        self._second.cleanup()
