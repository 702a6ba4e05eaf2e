"""What all routes share: settings, the engine's keeper, voices, counts, and whether the server is about to end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from loguru import logger

from csm_plugin.client.messages import Draining, ServerMessage, VoicesChanged
from csm_plugin.errors import CSMError, EngineBusyError
from csm_plugin.server.errors import Unavailable
from csm_plugin.server.keeper import EngineKeeper
from csm_plugin.server.metrics import Metrics
from csm_plugin.server.settings import ServerSettings
from csm_plugin.server.voice_shelf import VoiceShelf
from csm_plugin.server.watermark import WatermarkKey, refuse_watermark
from csm_plugin.settings import Sampling
from csm_plugin.text.parts import split_utterances

if TYPE_CHECKING:
    from csm_plugin.engine import Conversation, Engine, SpeechChunk, Utterance

PARTS_AHEAD = 2
"""Parts of one text that are in the engine at the same time: the one that is spoken, and the next."""


LOOK_S = 0.02


class Listener(Protocol):
    """A socket, as far as the rest of the server knows it."""

    def tell(self, message: ServerMessage) -> None:
        """Send a message when there is time; never blocks."""

    async def go_away(self) -> None:
        """Close it, because the server ends."""


@dataclass(slots=True)
class Service:
    """The server's state. For one event loop."""

    settings: ServerSettings
    keeper: EngineKeeper
    shelf: VoiceShelf
    metrics: Metrics
    draining: bool = False
    live: int = 0
    """Requests and utterances that are being spoken; draining waits for them."""
    listeners: set[Listener] = field(default_factory=set)
    """Open sockets."""

    @property
    def engine(self) -> Engine:
        """The engine, for something new to be said.

        Raises:
            Unavailable: not now.
        """
        self.check_open()
        return self.keeper.engine

    @property
    def voices(self) -> list[str]:
        """The names of all voices; none while there is no engine."""
        own = self.keeper.engine.voices if self.keeper.is_ready else []
        return sorted({*own, *self.shelf.names})

    def check_open(self) -> None:
        """Make sure that something new may be begun.

        Raises:
            Unavailable: the server is about to end.
        """
        if self.draining:
            raise Unavailable("the server is about to end; ask another one", "draining", 1.0)

    def check_watermark(self, asked: bool | None = None, key: WatermarkKey | None = None) -> None:
        """Make sure that neither a request nor the settings demand a watermark, which this version does not write.

        Raises:
            Refusal: they do.
        """
        refuse_watermark(asked, key, otherwise=self.settings.watermarks)

    def open(
        self,
        voice: str | None,
        speaker: int = 0,
        sampling: Sampling | None = None,
        *,
        watermark: bool | None = None,
        watermark_key: WatermarkKey | None = None,
    ) -> Conversation:
        """Open a conversation with a voice by its name, or the default one.

        Raises:
            Unavailable, EngineBusyError, VoiceError, InputError, Refusal: it cannot be had.
        """
        self.check_watermark(watermark, watermark_key)
        engine = self.engine
        if engine.stats().conversations >= self.settings.max_open:
            raise EngineBusyError(f"{self.settings.max_open} conversations are open, which is the most", 5.0)
        shelf, own = self.shelf, engine.voices
        return engine.conversation(
            shelf.find_default(own) if voice is None else shelf.find(voice, own), speaker, sampling
        )

    def announce_voices(self) -> None:
        """Tell every socket which voices there are now."""
        for listener in self.listeners:
            listener.tell(VoicesChanged(voices=self.voices))

    async def drain(self) -> None:
        """Begin nothing new, wait for what is being said, at most `drain_s`, and send every socket away."""
        self.draining = True
        logger.info("draining", live=self.live)
        for listener in self.listeners:
            listener.tell(Draining())
        until = time.monotonic() + self.settings.drain_s
        while self.live and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        logger.info("drained", left=self.live)
        await asyncio.gather(*(listener.go_away() for listener in tuple(self.listeners)), return_exceptions=True)

    @contextlib.contextmanager
    def speaking(self) -> Iterator[None]:
        """Count something as being spoken while the block runs."""
        self.live += 1
        try:
            yield
        finally:
            self.live -= 1

    async def chunks(self, utterance: Utterance) -> AsyncGenerator[SpeechChunk, None]:
        """Give an utterance's chunks; measure them, and notice if the engine dies.

        Raises:
            CSMError: as iterating the utterance does.
        """
        with self.speaking(), self.metrics.utterance(utterance) as note:
            try:
                chunks = aiter(utterance)
                while True:
                    async with self.keeper.watching():
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        return
                    note(chunk)
                    yield chunk
            except CSMError as error:
                self.keeper.note(error)
                raise
            finally:
                utterance.cancel()

    async def say(self, talk: Conversation, text: str) -> AsyncGenerator[SpeechChunk, None]:
        """Speak a text of any length in a conversation, part by part; close it at the end.

        Raises:
            CSMError: as `Conversation.speak` and iterating an utterance do.
        """
        with talk:
            async with contextlib.aclosing(self.speak(talk, text)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def speak(self, talk: Conversation, text: str) -> AsyncGenerator[SpeechChunk, None]:
        """Do the same in a conversation that goes on; what is left when the generator is closed is not spoken.

        Raises:
            CSMError: as `say`.
        """
        parts = split_utterances(text)
        ahead: list[Utterance] = []
        with self.speaking():
            try:
                for number in range(len(parts)):
                    while len(ahead) < min(len(parts), number + PARTS_AHEAD):
                        ahead.append(talk.speak(parts[len(ahead)]))
                    async with contextlib.aclosing(self.chunks(ahead[number])) as chunks:
                        async for chunk in chunks:
                            yield chunk
            finally:
                for utterance in ahead:
                    utterance.cancel()
