"""One conversation on a socket: what its client asks for goes to the engine at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.websockets import WebSocketDisconnect

from csm_plugin.conversation import VoicePrompt
from csm_plugin.engine.transfer import Key
from csm_plugin.errors import AudioError, CSMError, EngineBusyError, GenerationError, InputError
from csm_plugin.failures import log_failure
from csm_plugin.protocol import messages as m
from csm_plugin.protocol.wire import HEADER, Packet, unpack_codes, unpack_samples
from csm_plugin.server.shared.service import Service
from csm_plugin.server.socket.jobs import Complete, Report, SpeechJob, TurnJob
from csm_plugin.server.socket.sender import Send, Sender
from csm_plugin.server.socket.window import Window
from csm_plugin.settings import SAMPLE_RATE_HZ
from csm_plugin.text import SentenceSplitter, is_speakable

if TYPE_CHECKING:
    from csm_plugin.conversation import Turn, Utterance

MAX_WAITING = 256
"""Things that may wait to be told to a client that does not read."""

MAX_TURNS_UP = 16
"""How many conversations may have as much sound on its way up as one may."""

MAX_DRAFTS = 16
"""Texts that may be written at the same time in one conversation."""


@dataclass(slots=True)
class Draft:
    """A text that is being written."""

    splitter: SentenceSplitter = field(default_factory=SentenceSplitter)
    pieces: int = 0


class Talk:
    """A conversation of the engine's, as a socket has it. For one event loop.

    Args:
        order: what the client asked for.
        send: sends a message to it.
        died: called once when the conversation cannot go on.

    Raises:
        CSMError: it cannot be opened.
    """

    def __init__(self, service: Service, order: m.Open, send: Send, died: Callable[[CSMError], None]) -> None:
        self._service = service
        self._engine = service.engine
        self._talk = service.open(order.voice, order.speaker, order.sampling.sampling())
        self._context = self._talk.transfer(order.gone_frames)
        self._window = Window(order.window)
        self._sender = Sender(service, order, self._context, self._window, send)
        self._died = died
        self._drafts: dict[int, Draft] = {}
        self._uploads: dict[int, bytearray] = {}
        self._task = asyncio.create_task(self._run(), name="csm-talk")

    @property
    def speaking(self) -> bool:
        """Whether something is being said, or waits to be."""
        return bool(self._sender.live)

    async def close(self) -> None:
        """End the conversation."""
        self._talk.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._drop_uploads()
        self._sender.drop()

    def take(self, message: m.ClientMessage) -> None:
        """Follow a message to this conversation. Never blocks.

        Raises:
            CSMError: it cannot be followed.
        """
        if self._is_full and isinstance(message, m.Speak | m.Append | m.Commit | m.Listen):
            raise EngineBusyError(f"{MAX_WAITING} things wait to be told to this client, which must read them", 1.0)
        match message:
            case m.Speak():
                self._speak(message)
            case m.Append():
                self._append(message.number, message.text)
            case m.Commit():
                self._commit(message.number)
            case m.Listen():
                self._sender.add(TurnJob((message.number, 0), self._listen(message)))
            case m.Taken():
                self._window.take((message.number, message.piece), message.frames)
            case m.Cancel():
                self._stop(message.number)
            case m.Interrupt():
                self._talk.interrupt(message.heard_s)
                self._stop(None)
            case m.Configure():
                self._configure(message)
            case m.Recall():
                self._recall(message)

    def upload(self, packet: Packet) -> None:
        """Keep sound or codes until a message uses them.

        Raises:
            AudioError: it is more than may be kept.
            EngineBusyError: all conversations together keep as much as may be kept.
        """
        most = self._service.settings.max_turn_bytes
        if sum(HEADER.size + len(data) for data in self._uploads.values()) + len(packet.payload) > most:
            self._drop_uploads()
            raise AudioError(f"at most {most:,} bytes of sound and codes may be on their way up; all were dropped")
        if self._service.uploaded_bytes + len(packet.payload) > MAX_TURNS_UP * most:
            self._drop_uploads()
            raise EngineBusyError("too much sound is on its way up here; this conversation's was dropped", 1.0)
        self._service.uploaded_bytes += len(packet.payload)
        self._uploads.setdefault(packet.number, bytearray()).extend(packet.payload)

    @property
    def _is_full(self) -> bool:
        return self._sender.jobs.qsize() > MAX_WAITING

    def _drop_uploads(self) -> None:
        self._service.uploaded_bytes -= sum(map(len, self._uploads.values()))
        self._uploads.clear()

    async def _run(self) -> None:
        try:
            error: CSMError = await self._sender.run()
        except WebSocketDisconnect:
            return  # its reader notices, too
        except Exception as problem:
            log_failure("a conversation's messages could not be told", problem)
            error = GenerationError(f"the server failed ({type(problem).__name__}); open the conversation again")
        self._died(error)

    def _speak(self, message: m.Speak) -> None:
        sampling = None if message.sampling is None else message.sampling.sampling()

        def speak() -> Utterance:
            self._service.check_open()
            return self._talk.speak(message.text, sampling, message.normalize)

        self._hand_over((message.number, 0), speak)
        self._sender.add(Complete(message.number))

    def _append(self, number: int, text: str) -> None:
        draft = self._drafts.get(number)
        if draft is None:
            self._service.check_open()
            if len(self._drafts) >= MAX_DRAFTS:
                raise EngineBusyError(f"{MAX_DRAFTS} texts are being written in this conversation; commit them", 1.0)
            draft = self._drafts[number] = Draft()
        self._speak_pieces(number, draft, draft.splitter.feed(text))

    def _commit(self, number: int) -> None:
        draft = self._drafts.pop(number, None)
        if draft is not None:
            self._speak_pieces(number, draft, draft.splitter.flush())
        self._sender.add(Complete(number))

    def _speak_pieces(self, number: int, draft: Draft, pieces: list[str]) -> None:
        for piece in filter(is_speakable, pieces):
            self._hand_over((number, draft.pieces), lambda piece=piece: self._talk.speak(piece))  # type: ignore[misc]
            draft.pieces += 1

    def _hand_over(self, key: Key, speak: Callable[[], Utterance]) -> None:
        try:
            utterance: Utterance | CSMError = speak()
        except CSMError as error:
            self._service.keeper.note(error)
            utterance = error
        if not isinstance(utterance, CSMError):
            self._context.note_utterance(key, utterance)
        self._sender.add(SpeechJob(key, utterance))

    def _listen(self, message: m.Listen) -> Turn | CSMError:
        try:
            pcm = unpack_samples(self._uploaded(message.number), message.encoding)
            return self._talk.listen(message.text, pcm, message.sample_rate, message.speaker)
        except CSMError as error:
            return error

    def _stop(self, number: int | None) -> None:
        """Say no more of a number, or of anything, and keep in the context only what was taken of it."""
        for draft in [draft for draft in self._drafts if number in (None, draft)]:
            del self._drafts[draft]
            self._sender.add(Complete(draft))
        live = {key: job for key, job in self._sender.live.items() if number in (None, key[0]) and not job.stopped}
        for job in live.values():
            job.stopped = True
            if not isinstance(job.utterance, CSMError):
                job.utterance.cancel()
        for key, frames in self._window.withdraw(live.keys() | self._window.under_way(number)).items():
            self._context.keep(key, frames)
        if not self._is_full:  # else the context is told soon anyway
            self._sender.add(Report())

    def _configure(self, message: m.Configure) -> None:
        changes: dict[str, Any] = {"speaker": message.speaker}
        if message.sampling is not None:
            changes["sampling"] = message.sampling.sampling()
        if "voice" in message.model_fields_set:
            changes["voice"] = self._voice(message.voice)
        self._talk.configure(**changes)

    def _voice(self, voice: str | m.UploadedVoice | None) -> str | VoicePrompt | None:
        if not isinstance(voice, m.UploadedVoice):
            return None if voice is None else self._service.find_voice(voice)
        pcm = unpack_samples(self._uploaded(voice.number), "f32").astype(np.float32)
        return VoicePrompt(voice.name, voice.text, pcm, SAMPLE_RATE_HZ, voice.style)

    def _recall(self, message: m.Recall) -> None:
        codes = unpack_codes(self._uploaded(message.number), self._engine.codebooks)
        words = [word.word() for word in message.words]
        key = (message.number, message.piece)
        self._context.recall(key, message.speaker, message.text, codes, message.lead, words, current=message.current)
        if message.taken is not None:
            self._window.send(key, len(codes) - message.lead)
            self._window.take(key, message.taken)
            self._window.end(key)

    def _uploaded(self, number: int) -> bytes:
        """Use up what was sent under a number.

        Raises:
            InputError: nothing was.
        """
        data = self._uploads.pop(number, None)
        if data is None:
            raise InputError("nothing was sent up under that number; send its sound or codes first")
        self._service.uploaded_bytes -= len(data)
        return bytes(data)
