"""What a client keeps of a conversation that a server has: enough to go on anywhere."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from loguru import logger

from csm_plugin.client.dispatch import Dispatch, Post, Voice
from csm_plugin.client.ledger import RemoteLedger
from csm_plugin.client.orders import NO_TOKENS, ListenOrder, SpeakOrder
from csm_plugin.conversation import Entry, Segment, VoicePrompt
from csm_plugin.errors import CSMError, EngineClosedError
from csm_plugin.interface import check_waiting
from csm_plugin.protocol import messages as m
from csm_plugin.protocol.faults import error_of, is_busy, passes
from csm_plugin.protocol.wire import Kind, Packet, unpack_codes, unpack_samples
from csm_plugin.settings import Sampling

ACK_FRAMES = 4
"""The server is told what was taken after so many frames."""

FULL_SCALE = np.float32(32_767)
"""Of the 16-bit samples that come, so that `to_int16` gives them back."""


class Record:
    """The state of one remote conversation. Safe from any thread; its lock is held for moments only.

    Args:
        codebooks: codes a frame.
        post: sends something to the server; called in order, with the lock held, and never blocks.
    """

    def __init__(self, codebooks: int, post: Post, voice: Voice, speaker: int, sampling: Sampling) -> None:
        self.lock = threading.RLock()
        self.voice = voice
        self.speaker = speaker
        self.sampling = sampling
        self.closed = False
        self.lost_s: float | None = None
        """Since when no server has it, on the monotonic clock."""
        self._fault: CSMError | None = None
        self._codebooks = codebooks
        self._dispatch = Dispatch(post)
        self._ledger = RemoteLedger(codebooks)
        self._numbers = itertools.count(1)
        self._queue: dict[int, SpeakOrder | ListenOrder] = {}  # what the server has not finished, in order
        self._unread: dict[int, SpeakOrder] = {}  # what was ordered and not all taken

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the context holds."""
        with self.lock:
            return self._ledger.segments

    @property
    def is_waiting(self) -> bool:
        """Whether anything is under way."""
        return bool(self._queue)

    def speak(self, text: str, sampling: Sampling) -> SpeakOrder:
        """Order an utterance.

        Raises:
            EngineClosedError: the conversation is closed.
            EngineBusyError: 64 orders of this conversation wait.
            CSMError: what the server did not like before.
        """
        with self.lock:
            self._check()
            self._check_room()
            entry = Entry(self.speaker, text, NO_TOKENS)
            spoken = SpeakOrder(next(self._numbers), text, sampling, entry, time.monotonic())
            self._queue[spoken.number] = self._unread[spoken.number] = spoken
            self._dispatch.order(spoken)
            return spoken

    def listen(self, text: str, pcm: npt.NDArray[Any], sample_rate: int, speaker: int) -> ListenOrder:
        """Order the other side's turn to be taken in.

        Raises:
            As for `speak`.
        """
        with self.lock:
            self._check()
            self._check_room()
            entry = Entry(speaker, text, NO_TOKENS)
            turned = ListenOrder(next(self._numbers), entry, pcm, sample_rate, time.monotonic())
            self._queue[turned.number] = turned
            self._dispatch.order(turned)
            return turned

    def configure(self, voice: Voice, speaker: int, sampling: Sampling) -> None:
        """Change how it speaks.

        Raises:
            As for `speak`.
        """
        with self.lock:
            self._check()
            if voice is not self.voice and voice != self.voice:
                self.voice = voice
                self._dispatch.set_voice(voice, next(self._numbers))
            self.speaker, self.sampling = speaker, sampling
            self._dispatch.configure(speaker, sampling)

    def interrupt(self, heard_s: float | None) -> None:
        """Stop speaking, and keep what was heard of the current turn."""
        with self.lock:
            for spoken in self._unread.values():
                self._dispatch.acknowledge(spoken)
                self._ledger.drop_unheard(spoken)
                self._queue.pop(spoken.number, None)
            self._unread.clear()
            self._ledger.cut_turn(heard_s)
            self._dispatch.interrupt(heard_s)

    def cancel(self, spoken: SpeakOrder) -> None:
        """Cancel an utterance, and keep what was taken of it."""
        with self.lock:
            if self._unread.pop(spoken.number, None) is None:
                return
            self._queue.pop(spoken.number, None)
            if not spoken.buffer.exhausted:
                self._dispatch.acknowledge(spoken)
                self._ledger.drop_unheard(spoken)
                self._dispatch.cancel(spoken)

    def note_taken(self, spoken: SpeakOrder) -> None:
        """Tell the server how much of an utterance was taken, now and then."""
        with self.lock:
            self._note(spoken)

    def close(self) -> None:
        """End it; what is being said is cancelled."""
        with self.lock:
            if not self.closed:
                self.closed = True
                for spoken in self._unread.values():
                    self._ledger.drop_unheard(spoken)
                self.fail(EngineClosedError("the conversation was closed"))
                self._dispatch.close()

    def fail(self, error: CSMError, ordered_before_s: float = float("inf")) -> None:
        """Give up what was ordered before a moment; what arrived of it stays."""
        with self.lock:
            for job in [job for job in self._queue.values() if job.ordered_s <= ordered_before_s]:
                del self._queue[job.number]
                if isinstance(job, ListenOrder):
                    self._ledger.remove(job.entry)
                    job.done.set_exception(error)
                elif not job.buffer.done:
                    self._ledger.settle(job, "error")
                    job.buffer.finish("error", error)

    def lose(self) -> None:
        """Note that no server has it."""
        with self.lock:
            self._dispatch.wire = None
            self.lost_s = self.lost_s or time.monotonic()

    def settle_in(self) -> None:
        """Note that a server has opened it."""
        self.lost_s = None

    def open(self, wire: int) -> None:
        """Open it on a server under a new number: say what was said, and order again what is under way."""
        with self.lock:
            if self.closed:
                return
            self._dispatch.open(wire, self.voice, self.speaker, self.sampling, self._ledger.gone_frames)
            if isinstance(self.voice, VoicePrompt):
                self._dispatch.set_voice(self.voice, next(self._numbers))
            for segment in self._ledger.numbered:
                waits = self._queue.get(segment.number)
                if waits is None:
                    unread = self._unread.get(segment.number)
                    self._dispatch.recall(segment, None if unread is None else unread.buffer.taken)
                elif isinstance(waits, ListenOrder):  # overtaken by what comes next
                    self._order_again(waits)
            for job in self._queue.values():
                if not (isinstance(job, ListenOrder) and job.entry.pending):
                    self._order_again(job)

    def take_packet(self, packet: Packet) -> None:
        """Take in sound or codes."""
        with self.lock:
            job = self._queue.get(packet.number)
            if job is None:
                return
            if packet.kind is not Kind.SOUND:
                codes = unpack_codes(packet.payload, self._codebooks)
                if packet.kind is Kind.LEAD and isinstance(job, SpeakOrder):
                    job.take_lead(codes)
                else:
                    job.take_codes(codes)
            elif isinstance(job, SpeakOrder):
                self._begin(job)
                if not job.take_sound(unpack_samples(packet.payload).astype(np.float32) / FULL_SCALE):
                    logger.warning("a server goes on with another rendition of an utterance", number=job.number)
                self._note(job)

    def take(self, message: m.Began | m.Words | m.Ended | m.Heard | m.Context | m.Failed) -> bool:
        """Take in a message.

        Returns:
            whether the server cannot go on with the conversation, which must be opened again.
        """
        with self.lock:
            match message:
                case m.Failed():
                    self._fault = error_of(message.error)
                case m.Context():
                    self._ledger.follow(message.segments, self._queue)
                case m.Heard() if isinstance(turned := self._queue.get(message.number), ListenOrder):
                    return self._end_turn(turned, message)
                case m.Began() | m.Words() | m.Ended():
                    job = self._queue.get(message.number)
                    return isinstance(job, SpeakOrder) and self._hear_of(job, message)
        return False

    def _hear_of(self, spoken: SpeakOrder, message: m.Began | m.Words | m.Ended) -> bool:
        if isinstance(message, m.Began):
            self._begin(spoken)
        elif isinstance(message, m.Words):
            spoken.take_words([word.word() for word in message.words])
        elif passes(message.error) or (spoken.entry.frames and is_busy(message.error)):
            return True
        else:
            del self._queue[spoken.number]
            late = spoken.late_words()
            self._ledger.settle(spoken, message.reason)
            error = None if message.error is None else error_of(message.error)
            spoken.buffer.finish(message.reason, error, late)
            self._note(spoken)
        return False

    def _end_turn(self, turned: ListenOrder, message: m.Heard) -> bool:
        if passes(message.error):
            return True
        del self._queue[turned.number]
        if message.error is not None:
            self._ledger.remove(turned.entry)
            turned.done.set_exception(error_of(message.error))
        else:
            self._ledger.take_turn(turned, message.text)
            turned.done.set_result(turned.entry)
        return False

    def _begin(self, spoken: SpeakOrder) -> None:
        if not spoken.begun:
            for job in self._queue.values():
                if isinstance(job, ListenOrder) and job.number < spoken.number:
                    self._ledger.hold_turn(job)
        self._ledger.begin(spoken)

    def _order_again(self, job: SpeakOrder | ListenOrder) -> None:
        job.order_again()
        self._dispatch.order(job)

    def _check(self) -> None:
        if self.closed:
            raise EngineClosedError("the conversation is closed; open a new one with engine.conversation()")
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault

    def _check_room(self) -> None:
        """Refuse what would wait behind too much; what is being said does not wait."""
        check_waiting(len(self._queue) - any(isinstance(job, SpeakOrder) and job.begun for job in self._queue.values()))

    def _note(self, spoken: SpeakOrder) -> None:
        if spoken.buffer.exhausted:
            self._unread.pop(spoken.number, None)
            self._dispatch.acknowledge(spoken)
        elif min(spoken.buffer.taken, spoken.arrived) - spoken.told >= ACK_FRAMES:
            self._dispatch.acknowledge(spoken)
