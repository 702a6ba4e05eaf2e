"""Live rows: begin utterances, step them together, hand out their frames."""

from __future__ import annotations

import math
import time
from collections import deque

import numpy as np

from csm_plugin.conversation import Budget, Positions
from csm_plugin.conversation.budget import MIN_SPEECH_FRAMES
from csm_plugin.conversation.frame_buffer import FinishReason
from csm_plugin.engine.jobs import SpeakJob
from csm_plugin.engine.registry import Registry
from csm_plugin.engine.session import Session
from csm_plugin.engine.slots import Slot, Slots
from csm_plugin.engine.stepper import PendingStep, Stepper
from csm_plugin.errors import ContextFullError, CSMError, GenerationError, ReaderStalledError
from csm_plugin.failures import log_failure
from csm_plugin.model.csm import CSM
from csm_plugin.settings import TEXT

PREFILL_CHUNK = 256

STALLED_S = 10.0
"""How long a reader may take nothing while others wait for its row."""

Batch = list[tuple[Slot, SpeakJob]]
"""Rows that are stepped together, lowest first, with what each speaks."""


class LiveBatch:
    """Speaks the utterances that conversations have waiting. For the device thread only."""

    def __init__(self, model: CSM, registry: Registry, slots: Slots, budget: Budget, stepper: Stepper) -> None:
        self._model = model
        self._registry = registry
        self._slots = slots
        self._budget = budget
        self._in_flight: deque[tuple[Batch, PendingStep]] = deque()
        self.stepper = stepper

    def begin(self, session: Session, job: SpeakJob) -> bool:
        """Prefill the next chunk of an utterance, which goes live when that is complete.

        Returns:
            False if no row is to be had for it yet.
        """
        if session.voice_failure is not None:
            raise session.voice_failure
        slot = session.slot or self._slots.claim(session, before=job.number)
        if slot is None:
            return False
        with session.lock:
            opening = job.opening(self._model.config.codebooks)
            frames = self._make_room(session, len(opening), job.max_frames)
            if frames < 1:
                raise ContextFullError("the text does not fit beside the voice prompt; split it into sentences")
            target: Positions = np.concatenate((session.ledger.positions(), opening))
            pinned = session.ledger.prompt_length
        self._slots.touch(slot)
        if self._slots.advance(slot, target[:-1], pinned, session.voice, PREFILL_CHUNK):
            first = len(target) - len(opening) + job.script.first_token
            spoken = range(first, first + len(job.script.token_places))
            job.top_k = self._model.begin(slot.row, slot.length, target[-1:], job.sampling, job.seed, frames, spoken)
            job.max_frames = frames
            slot.held[slot.length] = target[-1]
            if self._registry.go_live(session, job):
                session.begin(job)
            else:
                self._model.end(slot.row)
        return True

    def step(self) -> bool:
        """Launch one frame of every live row whose reader keeps up, and handle the results that are due.

        Returns:
            whether there was anything to do.
        """
        batch: Batch = []
        worked = False
        for slot in self._slots.all:
            if (session := slot.owner) is None or (job := session.live) is None:
                continue
            if job.buffer.done:
                self._retire(session)
                worked = True
            elif job.is_full:
                job.paused_since_s = job.paused_since_s or time.monotonic()
            elif job.launched < job.max_frames:
                job.paused_since_s = None
                batch.append((slot, job))
        if batch:
            self._launch(batch)
        while len(self._in_flight) > (self.stepper.lag if batch else 0):
            self._handle(*self._in_flight.popleft())
            worked = True
        return worked or bool(batch)

    def end_stalled(self, sessions: list[Session]) -> None:
        """Others wait for a row: end utterances whose readers have taken nothing for a long time."""
        for session in sessions:
            job = session.live
            if job is not None and job.paused_since_s and time.monotonic() - job.paused_since_s > STALLED_S:
                waited = f"nobody took this utterance's sound for {STALLED_S:g} s while others waited for its row"
                self._fail(session, job, ReaderStalledError(f"{waited}; read it faster, or cancel what is not wanted"))

    def drop(self, session: Session) -> None:
        """Let go of what a closed conversation held."""
        if session.live is not None:
            self._retire(session)
        if session.slot is not None:
            self._slots.release(session.slot)

    def _make_room(self, session: Session, opening: int, wanted: int) -> int:
        """Evict old segments where an utterance needs their place; return how many frames it may have.

        Args:
            opening: positions that come before its first frame.
        """
        ledger, budget = session.ledger, self._budget
        if budget.room(ledger.length, opening, wanted) < wanted:
            keep = budget.positions - opening - 1
            ledger.evict(min(budget.keep(ledger.prompt_length), keep - wanted))
            ledger.evict(keep - MIN_SPEECH_FRAMES, spare_last=False)
        return budget.room(ledger.length, opening, wanted)

    def _launch(self, batch: Batch) -> None:
        rows = [slot.row for slot, _ in batch]
        lengths = [slot.length + job.launched - job.made for slot, job in batch]
        try:
            pending = self.stepper.launch(rows, lengths, max(job.top_k for _, job in batch))
        except Exception as error:
            self._fail_batch(batch, error)
            return
        for _, job in batch:
            job.launched += 1
        self._in_flight.append((batch, pending))

    def _handle(self, batch: Batch, pending: PendingStep) -> None:
        """Hand the frames of one step to their utterances."""
        try:
            result = pending.wait()
        except Exception as error:
            self._fail_batch(batch, error)
            return
        self._registry.frames_stepped += len(batch)
        tokens = [math.nan] * len(batch) if result.tokens is None else result.tokens.tolist()
        frames = zip(result.codes, result.pcm, result.finite, tokens, strict=True)
        for (slot, job), (codes, pcm, finite, token) in zip(batch, frames, strict=True):
            if (session := slot.owner) is None or session.live is not job:
                continue  # it ended while this step was under way
            slot.length += 1
            job.made += 1
            if not finite:
                self._fail(session, job, FloatingPointError("the model's output was not finite"))
            elif not codes[:-1].any():  # as transformers tests it: the last codebook does not count
                self._end(session, job, "end")
            else:
                if slot.length < len(slot.held):
                    slot.held[slot.length, 0] = TEXT
                    slot.held[slot.length, 1:] = codes
                job.delivery.push(codes, pcm, token)
                self._deliver(session, job, codes)

    def _deliver(self, session: Session, job: SpeakJob, codes: np.ndarray) -> None:
        """Note a frame in the ledger, and hand over what may be heard."""
        if not session.add_frame(job, codes):
            self._retire(session)  # it was cancelled while this step was under way
        elif job.made >= job.max_frames:
            self._end(session, job, "length")
        else:
            session.hand_over(job, job.delivery.ready())

    def _end(self, session: Session, job: SpeakJob, reason: FinishReason) -> None:
        ended = reason == "end"
        frames, late = job.delivery.finish(ended=ended)
        session.hand_over(job, frames, late)
        session.finish(job, ended=ended)
        if ended:
            job.clock.teach(session.pace)
        job.buffer.finish(reason, late=late)
        self._retire(session)

    def _retire(self, session: Session) -> None:
        """Make a row idle; its cache stays for the next utterance."""
        if session.slot is not None:
            self._model.end(session.slot.row)
            self._slots.touch(session.slot)
        self._registry.retire(session)

    def _fail_batch(self, batch: Batch, error: Exception) -> None:
        log_failure(f"a step of {len(batch)} rows failed; its utterances end with an error", error)
        for slot, job in batch:
            if slot.owner is not None:
                self._fail(slot.owner, job, error)

    def _fail(self, session: Session, job: SpeakJob, error: Exception) -> None:
        """Fail the utterance that a row speaks; what was delivered of it stays in the context."""
        if session.live is job:
            session.finish(job, ended=False)
            job.buffer.finish("error", as_csm_error(error))
            self._retire(session)
            if session.slot is not None:
                self._slots.forget(session.slot)


def as_csm_error(error: Exception) -> CSMError:
    """Return an error of ours for whatever went wrong."""
    if isinstance(error, CSMError):
        return error
    failure = GenerationError(f"the model failed ({type(error).__name__}); speak the text again")
    failure.__cause__ = error
    return failure
