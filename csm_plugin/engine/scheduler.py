"""Decides what the device does next: begin utterances, step all live rows, and use idle time to catch up.

One thread runs it and owns the device. Every round is short: a live row waits for one prefill chunk of each utterance
that begins, and for one small piece of background work, before its next frame.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass

import numpy as np
from loguru import logger

from csm_plugin.conversation import Budget, VoicePrompt, text_positions
from csm_plugin.conversation.budget import MIN_SPEECH_FRAMES
from csm_plugin.engine.encoding import Encoding
from csm_plugin.engine.session import Job, ListenJob, Session, SpeakJob, VoiceJob
from csm_plugin.engine.slots import Slot, Slots
from csm_plugin.engine.stepper import PendingStep, Stepper
from csm_plugin.errors import CSMError, EngineBusyError, EngineClosedError, GenerationError
from csm_plugin.model.csm import CSM

PREFILL_CHUNK = 256
BACKGROUND_CHUNK = 64
ENCODE_FRAMES = 25
BACKGROUND_ENCODE_FRAMES = 5
MAX_JOBS = 64
"""Utterances and turns that one conversation may have waiting."""
MAX_VOICES = 64


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What the engine is doing.

    Args:
        live_rows: rows that speak.
        free_rows: rows that could speak.
        queued: conversations that wait for a row.
        frames_stepped: frames made since the start, over all rows.
        conversations: open conversations.
    """

    live_rows: int
    free_rows: int
    queued: int
    frames_stepped: int
    conversations: int


class Scheduler:
    """Schedule, run, postprocess, for ever. `run` is the device thread; the other public methods are for any thread."""

    def __init__(self, model: CSM, max_queue: int) -> None:
        self.model = model
        self.budget = Budget(model.positions)
        self._max_queue = max_queue
        self._slots = Slots(model)
        self._stepper = Stepper(model)
        self._changed = threading.Condition()
        self._sessions: list[Session] = []
        self._turns = itertools.count()
        self._in_flight: deque[tuple[list[tuple[Session, SpeakJob]], PendingStep]] = deque()
        self._encodings: dict[Job, Encoding] = {}
        self._voices: OrderedDict[VoicePrompt, list[np.ndarray]] = OrderedDict()
        self._frames_stepped = 0
        self._awake = False
        self._closed = False

    def open(self, session: Session) -> None:
        """Take a conversation in."""
        with self._changed:
            self._check_open()
            self._sessions.append(session)

    def close_session(self, session: Session) -> None:
        """Let a conversation go: what it still speaks is cancelled, its row becomes free."""
        with self._changed:
            session.closed = True
        for job in self._clear_jobs(session):
            job.utterance.cancel()
        self.wake()

    def submit(self, session: Session, job: Job) -> None:
        """Queue a job of a conversation.

        Raises:
            EngineBusyError: no row and no place in the queue, or too many jobs of this conversation wait.
            EngineClosedError: the engine or the conversation was closed.
        """
        with self._changed:
            self._check_open()
            if session.closed:
                raise EngineClosedError("the conversation is closed; open a new one with engine.conversation()")
            if len(session.jobs) >= MAX_JOBS:
                raise EngineBusyError(
                    f"{MAX_JOBS} utterances of this conversation are waiting; take their sound or interrupt() it", 1.0
                )
            if isinstance(job, SpeakJob) and not _wants_row(session):
                self._admit()
            session.jobs.append(job)
        self.wake()

    def interrupt(self, session: Session, heard_s: float | None) -> None:
        """Stop a conversation's speech and cut its current turn down to what was heard. Never blocks."""
        waiting = self._clear_jobs(session)
        unread = session.end_turn(heard_s)
        for job in (*waiting, *unread):
            job.utterance.discard()
        self.wake()

    def cancel(self, session: Session, job: SpeakJob) -> None:
        """An utterance was cancelled: take it out of the queue, keep only what was taken of it. Never blocks."""
        with self._changed:
            if job in session.jobs:
                session.jobs.remove(job)
        session.drop_unheard(job)
        self.wake()

    def wake(self) -> None:
        """Tell the device thread that something changed."""
        with self._changed:
            self._awake = True
            self._changed.notify()

    def stats(self) -> EngineStats:
        """Return what is going on."""
        with self._changed:
            live = sum(session.live is not None for session in self._sessions)
            wanting = sum(_wants_row(session) for session in self._sessions)
            return EngineStats(live, self.model.rows - live, wanting - live, self._frames_stepped, len(self._sessions))

    def close(self) -> None:
        """End `run` after the current round."""
        with self._changed:
            self._closed = True
            self._awake = True
            self._changed.notify()

    def run(self) -> None:
        """Work until `close`: the device thread."""
        while True:
            with self._changed:
                while not self._awake:
                    self._changed.wait()
                self._awake = False
                if self._closed:
                    break
                sessions = list(self._sessions)
            if self._round(sessions):
                self.wake()
        self._abandon()

    def _round(self, sessions: list[Session]) -> bool:
        """Do one round of work; tell whether there was any."""
        turn = next(self._turns)
        turned = sessions[turn % len(sessions) :] + sessions[: turn % len(sessions)] if sessions else []
        worked = [self._reap(session) for session in sessions if session.closed]
        worked += [self._guarded(session, self._begin_next) for session in sessions if not session.closed]
        worked.append(self._step(sessions))
        worked.append(any(self._guarded(session, self._catch_up) for session in turned if not session.closed))
        return any(worked)

    def _guarded(self, session: Session, work) -> bool:  # type: ignore[no-untyped-def]
        """Run a piece of work of one conversation; its failure fails that conversation's job only."""
        try:
            return bool(work(session))
        except Exception as error:
            logger.opt(exception=error).error("a conversation's job failed")
            self._fail(session, error)
            return True

    # ---- beginning utterances

    def _begin_next(self, session: Session) -> bool:
        """Prefill the next chunk of the utterance that a conversation has waiting; go live when it is complete."""
        job = session.jobs[0] if session.jobs else None
        if session.live is not None or not isinstance(job, SpeakJob):
            return False
        slot = session.slot or self._slots.claim(session, steal=True)
        if slot is None:
            return False
        tokens = job.entry.tokens
        with session.lock:
            frames = self._make_room(session, len(tokens), job.max_frames)
            text = text_positions(tokens, self.model.config.codebooks)
            target = np.concatenate((session.ledger.positions(), text))
            pinned = session.ledger.prompt_length
        self._slots.touch(slot)
        if not self._slots.advance(slot, target[:-1], pinned, session.voice, PREFILL_CHUNK):
            return True
        with self._changed:
            if not session.jobs or session.jobs[0] is not job:
                return True  # cancelled meanwhile
            session.jobs.popleft()
            session.live = job
        job.max_frames = frames
        session.begin(job)
        slot.held[slot.length] = target[-1]
        self.model.begin(slot.row, slot.length, target[-1:], job.sampling, job.seed, frames)
        return True

    def _make_room(self, session: Session, tokens: int, wanted: int) -> int:
        """Evict old segments where an utterance needs their place; return how many frames it may have."""
        ledger, budget = session.ledger, self.budget
        if budget.room(ledger.length, tokens, wanted) < wanted:
            keep = budget.positions - tokens - 1
            ledger.evict(min(budget.keep(ledger.prompt_length), keep - wanted))
            ledger.evict(keep - MIN_SPEECH_FRAMES, spare_last=False)
        return budget.room(ledger.length, tokens, wanted)

    # ---- stepping

    def _step(self, sessions: list[Session]) -> bool:
        """Launch one frame of every live row whose reader keeps up, and handle the results that are due."""
        batch: list[tuple[Session, SpeakJob]] = []
        worked = False
        for session in sessions:
            job = session.live
            if job is None:
                continue
            if job.utterance.done:
                self._retire(session, job)
                worked = True
            elif job.launched < job.max_frames and not job.utterance.full:
                batch.append((session, job))
        if batch:
            self._launch(batch)
        while len(self._in_flight) > (self._stepper.lag if batch else 0):
            self._handle(*self._in_flight.popleft())
            worked = True
        return worked or bool(batch)

    def _launch(self, batch: list[tuple[Session, SpeakJob]]) -> None:
        batch.sort(key=lambda pair: _slot(pair[0]).row)
        slots = [_slot(session) for session, _ in batch]
        jobs = [job for _, job in batch]
        lengths = [slot.length + job.launched - job.made for slot, job in zip(slots, jobs, strict=True)]
        ranks = max(1 if job.sampling.temperature == 0 else job.sampling.top_k for job in jobs)
        try:
            pending = self._stepper.launch([slot.row for slot in slots], lengths, ranks)
        except Exception as error:
            logger.opt(exception=error).error("a step failed", rows=len(batch))
            for session, job in batch:
                self._fail_live(session, job, error)
            return
        for job in jobs:
            job.launched += 1
        self._in_flight.append((batch, pending))

    def _handle(self, batch: list[tuple[Session, SpeakJob]], pending: PendingStep) -> None:
        """Hand the frames of one step to their utterances."""
        try:
            result = pending.wait()
        except Exception as error:
            logger.opt(exception=error).error("a step failed", rows=len(batch))
            for session, job in batch:
                self._fail_live(session, job, error)
            return
        with self._changed:
            self._frames_stepped += len(batch)
        for (session, job), codes, pcm, finite in zip(batch, result.codes, result.pcm, result.finite, strict=True):
            if session.live is not job:
                continue  # it ended while this step was under way
            slot = _slot(session)
            slot.length += 1
            job.made += 1
            if not finite:
                self._fail_live(session, job, FloatingPointError("the model's output was not finite"))
            elif not codes[:-1].any():
                self._end(session, job, "end")
            else:
                if slot.length < len(slot.held):
                    slot.held[slot.length, 0] = -1
                    slot.held[slot.length, 1:] = codes
                self._deliver(session, job, codes, pcm)

    def _deliver(self, session: Session, job: SpeakJob, codes: np.ndarray, pcm: np.ndarray) -> None:
        job.gate.push(pcm)
        if not session.add_frame(job, codes):
            self._retire(session, job)
            return
        if job.made > job.gate.lead:
            job.unreleased.append((codes, pcm))
        self._release(job)
        if job.made >= job.max_frames:
            self._end(session, job, "length")

    def _release(self, job: SpeakJob) -> None:
        ready = job.gate.released - job.handed_over
        job.handed_over += ready
        if ready:
            job.utterance.deliver([job.unreleased.popleft() for _ in range(ready)])

    def _end(self, session: Session, job: SpeakJob, reason: str) -> None:
        job.gate.finish()
        self._release(job)
        session.finish(job)
        job.utterance.finish("length" if reason == "length" else "end")
        self._retire(session, job)

    def _retire(self, session: Session, job: SpeakJob) -> None:
        """Make a row idle; its cache stays for the next utterance."""
        slot = _slot(session)
        self.model.end(slot.row)
        self._slots.touch(slot)
        with self._changed:
            session.live = None
            session.stale = True

    # ---- idle time

    def _catch_up(self, session: Session) -> bool:
        """Do a small piece of what a conversation needs before it speaks next."""
        busy = any(other.live is not None for other in self._sessions)
        job = session.jobs[0] if session.jobs else None
        if isinstance(job, ListenJob | VoiceJob):
            return self._take_in(session, job, BACKGROUND_ENCODE_FRAMES if busy else ENCODE_FRAMES)
        if session.live is not None or job is not None or not session.stale:
            return False
        slot = session.slot or self._slots.claim(session, steal=False)
        if slot is None:
            return False
        with session.lock:
            session.stale = False
            if self.budget.is_full(session.ledger.length):
                dropped = session.ledger.evict(self.budget.keep(session.ledger.prompt_length))
                logger.debug("dropped old segments from a full context", segments=dropped)
            target = session.ledger.positions()
            pinned = session.ledger.prompt_length
        limit = BACKGROUND_CHUNK if busy else PREFILL_CHUNK
        if not self._slots.advance(slot, target, pinned, session.voice, limit):
            session.stale = True
        return True

    def _take_in(self, session: Session, job: ListenJob | VoiceJob, frames: int) -> bool:
        """Encode a little of a turn or of a voice prompt; when it is complete, the context has it."""
        codes = self._codes(job, frames)
        if codes is None:
            return True
        if isinstance(job, ListenJob):
            job.entry.frames = codes
            session.listen(job.entry)
        else:
            with session.lock:
                if job.entry is not None:
                    job.entry.frames = codes
                session.ledger.set_prompt(job.entry)
                session.voice = None if job.prompt is None or job.entry is None else (job.prompt, job.entry.speaker)
                session.stale = True
        with self._changed:
            session.jobs.remove(job)
        if isinstance(job, ListenJob):
            job.done.set_result(None)
        return True

    def _codes(self, job: ListenJob | VoiceJob, frames: int) -> list[np.ndarray] | None:
        """Return a job's codes, or None while its encoding goes on."""
        prompt = job.prompt if isinstance(job, VoiceJob) else None
        pcm = prompt.pcm if prompt is not None else getattr(job, "pcm", None)
        if pcm is None:
            return []
        if prompt is not None and prompt in self._voices:
            self._voices.move_to_end(prompt)
            return list(self._voices[prompt])
        encoding = self._encodings.setdefault(job, Encoding(self.model.mimi, pcm))
        encoding.advance(frames)
        if not encoding.done:
            return None
        del self._encodings[job]
        if prompt is not None:
            self._voices[prompt] = encoding.frames
            while len(self._voices) > MAX_VOICES:
                self._voices.popitem(last=False)
        return list(encoding.frames)

    # ---- failure and farewell

    def _fail(self, session: Session, error: Exception) -> None:
        """Fail the job at the head of a conversation's queue."""
        with self._changed:
            job = session.jobs.popleft() if session.jobs else None
        failure = _typed(error)
        if isinstance(job, SpeakJob):
            job.utterance.finish("error", failure)
        elif isinstance(job, ListenJob):
            self._encodings.pop(job, None)
            job.done.set_exception(failure)
        else:
            session.stale = False
        if session.slot is not None:
            self._slots.forget(session.slot)

    def _fail_live(self, session: Session, job: SpeakJob, error: Exception) -> None:
        """Fail the utterance that a row speaks; what was delivered of it stays in the context."""
        if session.live is not job:
            return
        session.finish(job)
        job.utterance.finish("error", _typed(error))
        self._retire(session, job)
        self._slots.forget(_slot(session))

    def _reap(self, session: Session) -> bool:
        """Forget a closed conversation."""
        if session.live is not None:
            self._retire(session, session.live)
        if session.slot is not None:
            self._slots.release(session.slot)
        with self._changed:
            self._sessions.remove(session)
        return True

    def _abandon(self) -> None:
        """The engine closes: whoever still waits is told so."""
        error = EngineClosedError("the engine was closed")
        with self._changed:
            jobs = [job for s in self._sessions for job in (*s.jobs, *([s.live] if s.live else []))]
            self._sessions.clear()
        for job in jobs:
            if isinstance(job, SpeakJob):
                job.utterance.finish("error", error)
            elif isinstance(job, ListenJob):
                job.done.set_exception(error)

    def _clear_jobs(self, session: Session) -> list[SpeakJob]:
        """Take a conversation's waiting utterances out of its queue, and return them with the live one."""
        with self._changed:
            waiting = [job for job in session.jobs if isinstance(job, SpeakJob)]
            session.jobs = deque(job for job in session.jobs if not isinstance(job, SpeakJob))
            return waiting + ([session.live] if session.live is not None else [])

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosedError("the engine is closed; load a new one with Engine.load()")

    def _admit(self) -> None:
        """Refuse one more conversation that wants a row where rows and queue are full. The lock is held."""
        wanting = sum(_wants_row(session) for session in self._sessions)
        if wanting >= self.model.rows + self._max_queue:
            waiting = wanting - self.model.rows
            raise EngineBusyError(
                f"all {self.model.rows} rows speak and {waiting} conversations wait, which is the most; try again "
                "later, or load the engine with more max_conversations or max_queue",
                retry_after_s=1.0 + waiting / self.model.rows,
            )


def _wants_row(session: Session) -> bool:
    return session.live is not None or any(isinstance(job, SpeakJob) for job in session.jobs)


def _slot(session: Session) -> Slot:
    if session.slot is None:
        raise RuntimeError("a live conversation has no row")
    return session.slot


def _typed(error: Exception) -> CSMError:
    if isinstance(error, CSMError):
        return error
    failure = GenerationError(f"the model failed ({type(error).__name__}); speak the text again")
    failure.__cause__ = error
    return failure

