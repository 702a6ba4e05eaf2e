"""What all routes share: settings, the engine's keeper, voices, counts, and whether the server is about to end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from loguru import logger

from csm_plugin.errors import CSMError, EngineBusyError
from csm_plugin.protocol.messages import Draining, ServerMessage, VoicesChanged
from csm_plugin.server.shared.errors import Unavailable
from csm_plugin.server.shared.metrics import Metrics
from csm_plugin.server.shared.settings import ServerSettings
from csm_plugin.server.shared.supervisor import EngineKeeper
from csm_plugin.server.shared.uploaded_voices import FOREIGN_NAME, OPENAI_VOICES, VoiceShelf
from csm_plugin.server.shared.uploads import decode_upload, decode_voice
from csm_plugin.server.shared.watermark import WatermarkKey, refuse_watermark
from csm_plugin.settings import Sampling, VoiceStyle
from csm_plugin.text.parts import split_utterances

if TYPE_CHECKING:
    from csm_plugin.conversation import VoicePrompt
    from csm_plugin.engine import Conversation, Engine, SpeechChunk, Utterance

PARTS_AHEAD = 2
"""Parts of one text that are in the engine at the same time: the one that is spoken, and the next."""

Judge = Callable[["VoicePrompt"], None]
"""Makes sure that a voice's text is what is said in it; blocks, and raises VoiceError if it is not."""

LOOK_S = 0.02

DECODERS = 2
"""Uploads that are decoded at the same time."""


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
    judge: Judge | None = None
    """Of uploaded voices, where there is one."""
    draining: bool = False
    live: int = 0
    """Requests and utterances that are being spoken; draining waits for them."""
    uploaded_bytes: int = 0
    """Sound and codes that conversations keep until a message uses them."""
    listeners: set[Listener] = field(default_factory=set)
    """Open sockets."""
    changing_voices: asyncio.Lock = field(default_factory=asyncio.Lock)
    decoders: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DECODERS))

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
        """The names of all voices; without the model's own while there is no engine."""
        own = self.model_voices if self.keeper.is_ready else []
        return sorted({*own, *self.shelf.names})

    @property
    def model_voices(self) -> list[str]:
        """The names of the voices that came with the model.

        Raises:
            Unavailable: there is no engine.
        """
        return self.shelf.not_here(self.keeper.engine.voices)

    def find_voice(self, name: str | None) -> str | VoicePrompt | None:
        """Return a voice by its name, or the default one, for the engine to speak with.

        Raises:
            Unavailable, VoiceError: it cannot be had.
        """
        return self.shelf.find(name, lambda: self.model_voices)

    def has_voice(self, name: str) -> bool:
        """Whether there is a voice of that name."""
        return name in self.voices

    def stands_for_default(self, name: str) -> bool:
        """Whether a voice that is not here means the default one: OpenAI's, `default`, and by the settings any name.

        Never an address, a path, or one whose files are here and cannot be used.
        """
        if name in OPENAI_VOICES or name == "default":
            return True
        named = self.settings.unknown_voice == "default" and FOREIGN_NAME.fullmatch(name) is not None
        return named and not self.shelf.keeps_files_of(name)

    @property
    def is_full(self) -> bool:
        """Whether all rows speak and all places in the queue are taken."""
        if not self.keeper.is_ready:
            return False
        stats = self.keeper.engine.stats()
        return stats.free_rows == 0 and stats.queued >= self.settings.max_queue

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
        return engine.conversation(self.find_voice(voice), speaker, sampling)

    async def add_voice(self, name: str, text: str, recording: bytes, style: VoiceStyle | None = None) -> None:
        """Make a voice of an uploaded recording as `decode_voice` does, keep it, and tell every socket.

        Raises:
            AudioError, VoiceError: the recording cannot be read, it and its text make no voice, or nothing could ever
                be said with it.
            Refusal: there is one of that name, or there are too many.
            Unavailable: there is no engine.
        """
        async with self.decoders:
            prompt = await asyncio.to_thread(decode_voice, name, text, recording, style)
            if self.judge is not None:
                await asyncio.to_thread(self.judge, prompt)
        async with self.changing_voices:
            await asyncio.to_thread(self.keeper.engine.check_voice, prompt)
            await asyncio.to_thread(self.shelf.add, prompt, self.model_voices)
        self.announce_voices()

    async def remove_voice(self, name: str) -> None:
        """Remove an uploaded voice, and tell every socket.

        Raises:
            Refusal: none of that name was uploaded, or it is the default one.
        """
        async with self.changing_voices:
            await asyncio.to_thread(self.shelf.remove, name)
        self.announce_voices()

    def announce_voices(self) -> None:
        """Tell every socket which voices there are now."""
        changed = VoicesChanged(voices=self.voices)
        for listener in self.listeners:
            listener.tell(changed)

    async def decode(self, data: bytes, max_seconds: float) -> npt.NDArray[np.float32]:
        """Decode an uploaded recording as `decode_upload` does, beside the event loop, a few at a time."""
        async with self.decoders:
            return await asyncio.to_thread(decode_upload, data, max_seconds)

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
