"""Tells a client, in order, what comes of what it asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.websockets import WebSocketDisconnect

from csm_plugin.audio import to_int16
from csm_plugin.engine.transfer import Codes, Key, Transfer
from csm_plugin.errors import CSMError, EngineClosedError
from csm_plugin.failures import log_failure
from csm_plugin.protocol import messages as m
from csm_plugin.protocol.wire import HEADER, Kind, Packet, pack_codes
from csm_plugin.server.formats.opus import PACKET_SAMPLES, OpusPackets
from csm_plugin.server.shared.errors import code_of, retry_after_of
from csm_plugin.server.shared.service import Service
from csm_plugin.server.socket.jobs import Complete, Job, Report, SpeechJob, TurnJob
from csm_plugin.server.socket.window import Window
from csm_plugin.settings import FRAME_SAMPLES

if TYPE_CHECKING:
    from csm_plugin.conversation import SpeechChunk, Utterance
    from csm_plugin.conversation.frame_buffer import FinishReason

Send = Callable[[str | bytes], Awaitable[None]]


class Sender:
    """Works through a conversation's jobs; one at a time, so a client that does not read stops only this one.

    Args:
        order: what the client asked for when it opened the conversation.
        send: sends a message.
    """

    def __init__(self, service: Service, order: m.Open, context: Transfer, window: Window, send: Send) -> None:
        self._service = service
        self._id = order.conversation
        self._ledger = order.ledger
        self._context = context
        self._window = window
        self._send = send
        self._opus = OpusPackets() if order.audio == "opus" else None
        self.jobs: asyncio.Queue[Job] = asyncio.Queue()
        self.live: dict[Key, SpeechJob] = {}
        """What was handed to the engine and is not over."""
        self._turns: set[asyncio.Task[None]] = set()

    def add(self, job: Job) -> None:
        """Queue a job."""
        if isinstance(job, SpeechJob) and not isinstance(job.utterance, CSMError):
            self.live[job.key] = job
            self._service.live += 1
        self.jobs.put_nowait(job)

    async def run(self) -> EngineClosedError:
        """Work until the engine is no more, and return how that showed."""
        while True:
            job = await self.jobs.get()
            error = None
            match job:
                case SpeechJob():
                    error = await self._tell_speech(job)
                case TurnJob():  # what is spoken next may overtake it
                    aside = asyncio.create_task(self._tell_turn(job), name="csm-tell-turn")
                    self._turns.add(aside)
                    aside.add_done_callback(self._forget)
                case Complete():
                    await self._tell(m.Done(conversation=self._id, number=job.number))
                case Report():
                    await self._tell_context()
            if isinstance(error, EngineClosedError):
                return error

    def drop(self) -> None:
        """Count nothing as being said any more, and tell nothing more."""
        for task in self._turns:
            task.cancel()
        self._service.live -= len(self.live)
        self.live.clear()

    def _forget(self, aside: asyncio.Task[None]) -> None:
        self._turns.discard(aside)
        problem = None if aside.cancelled() else aside.exception()
        if problem is not None and not isinstance(problem, WebSocketDisconnect):
            log_failure("a turn could not be told", problem)

    async def _tell_speech(self, job: SpeechJob) -> CSMError | None:
        number, piece = job.key
        error: CSMError | None = None
        reason: FinishReason
        frames = 0
        if isinstance(job.utterance, CSMError):
            error, reason = job.utterance, "error"
        else:
            await self._tell(m.Began(conversation=self._id, number=number, piece=piece, text=job.utterance.text))
            try:
                frames = await self._tell_sound(job, job.utterance)
                reason = "cancelled" if job.stopped else job.utterance.finish_reason or "cancelled"
            except CSMError as problem:
                error, reason = problem, "error"
            finally:
                if self.live.pop(job.key, None) is not None:
                    self._service.live -= 1
            self._window.end(job.key)
        told = None if error is None else fault(error)
        ended = m.Ended(conversation=self._id, number=number, piece=piece, frames=frames, reason=reason, error=told)
        await self._tell(ended)
        await self._tell_context()
        return error

    async def _tell_sound(self, job: SpeechJob, utterance: Utterance) -> int:
        """Send a piece's chunks; return how many frames that were."""
        frames = 0
        async with contextlib.aclosing(self._service.chunks(utterance)) as chunks:
            async for chunk in chunks:
                await self._window.wait()
                if job.stopped:
                    break
                await self._tell_chunk(job.key, chunk, frames)
                frames += len(chunk.codes)
        return frames

    async def _tell_chunk(self, key: Key, chunk: SpeechChunk, frames: int) -> None:
        """Send a chunk: its codes, its words, its sound. `frames` of the piece were sent before."""
        number, piece = key
        self._window.send(key, len(chunk.codes))
        if self._ledger:
            if not frames:
                await self._send_codes(Kind.LEAD, key, self._context.lead(key))
            await self._send_codes(Kind.CODES, key, chunk.codes, frames)
        if chunk.words:
            words = [m.WordTime.of(word) for word in chunk.words]
            await self._tell(m.Words(conversation=self._id, number=number, piece=piece, words=words))
        start = frames * FRAME_SAMPLES
        if self._opus is not None:
            for packet in self._opus.encode(chunk.pcm):
                await self._send_packet(Kind.SOUND, key, start, packet)
                start += PACKET_SAMPLES
        elif len(chunk.pcm):
            await self._send_packet(Kind.SOUND, key, start, to_int16(chunk.pcm).astype("<i2").tobytes())

    async def _tell_turn(self, job: TurnJob) -> None:
        error = job.turn if isinstance(job.turn, CSMError) else None
        text, frames = "", 0
        if not isinstance(job.turn, CSMError):
            try:
                async with self._service.keeper.watching():
                    await job.turn
                text, codes = self._context.note_turn(job.key, job.turn)
                frames = len(codes)
                if self._ledger:
                    await self._send_codes(Kind.CODES, job.key, codes)
            except CSMError as problem:
                self._service.keeper.note(problem)
                error = problem
        told = None if error is None else fault(error)
        await self._tell(m.Heard(conversation=self._id, number=job.key[0], text=text, frames=frames, error=told))
        await self._tell_context()

    async def _tell_context(self) -> None:
        if self._ledger:
            held = [
                m.Held(number=one.key[0], piece=one.key[1], text=one.text, frames=one.frames, lead=one.lead)
                for one in self._context.held(waiting=set(self.live))
            ]
            used, positions = self._context.used, self._context.positions
            await self._tell(m.Context(conversation=self._id, segments=held, used=used, positions=positions))

    async def _send_codes(self, kind: Kind, key: Key, codes: Codes, start: int = 0) -> None:
        most = (self._service.settings.max_message_bytes - HEADER.size) // (2 * max(1, codes.shape[1]))
        for first in range(0, len(codes), most):
            await self._send_packet(kind, key, start + first, pack_codes(codes[first : first + most]))

    async def _send_packet(self, kind: Kind, key: Key, start: int, payload: bytes) -> None:
        await self._send(Packet(kind, self._id, key[0], key[1], start, payload).pack())

    async def _tell(self, message: m.ServerMessage) -> None:
        await self._send(message.model_dump_json())


def fault(error: CSMError) -> m.Fault:
    """Write an error down for a client."""
    return m.Fault(message=str(error), code=code_of(error), retry_after_s=retry_after_of(error))
