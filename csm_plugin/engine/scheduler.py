"""Decides what the device does next: begin utterances, step all live rows, and use idle time to catch up.

One thread runs it and owns the device. Every round is short: a live row waits for one prefill chunk of each utterance
that begins, and for one small piece of background work, before its next frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from operator import itemgetter

from csm_plugin.conversation import Budget
from csm_plugin.engine.catching_up import CatchingUp
from csm_plugin.engine.registry import Registry
from csm_plugin.engine.session import Job, ListenJob, Session, SpeakJob
from csm_plugin.engine.slots import Slots
from csm_plugin.engine.speaking import Speaking, log_failure, typed
from csm_plugin.errors import EngineClosedError
from csm_plugin.model.csm import CSM


class Scheduler:
    """Schedule, run, postprocess, for ever. `run` is the device thread; the other methods are for any thread."""

    def __init__(self, model: CSM, max_queue: int) -> None:
        self.model = model
        self.budget = Budget(model.positions)
        self.registry = Registry(model.rows, max_queue)
        slots = Slots(model)
        self.speaking = Speaking(model, self.registry, slots, self.budget)
        self._slots = slots
        self._catching_up = CatchingUp(model, self.registry, slots, self.budget)
        self._rounds = itertools.count()

    def interrupt(self, session: Session, heard_s: float | None) -> None:
        """Stop a conversation's speech and cut its current turn down to what was heard. Never blocks."""
        withdrawn = self.registry.withdraw_all(session)
        session.end_turn(heard_s)
        for job in withdrawn:
            job.utterance.discard()
        self.registry.wake()

    def cancel(self, session: Session, job: SpeakJob) -> None:
        """An utterance was cancelled: take it out of the queue, keep only what was taken of it. Never blocks."""
        self.registry.settle(session, job)
        session.drop_unheard(job)
        self.registry.wake()

    def close_session(self, session: Session) -> None:
        """Let a conversation go: what it still speaks is cancelled, its row becomes free. Never blocks."""
        for job in self.registry.withdraw_all(session, close=True):
            job.utterance.cancel()
        self.registry.wake()

    def run(self) -> None:
        """Work until the engine closes: the device thread."""
        try:
            while (sessions := self.registry.wait()) is not None:
                if self._round(sessions):
                    self.registry.wake()
        except BaseException as error:
            log_failure("the device thread died", error)
            self.registry.close(f"the engine stopped ({type(error).__name__})")
            raise
        finally:
            self._abandon()

    def _round(self, sessions: list[Session]) -> bool:
        """Do one round of work; tell whether there was any."""
        worked = False
        for session in [session for session in sessions if session.closed]:
            self.speaking.drop(session)
            self.registry.remove(session)
            sessions.remove(session)
            worked = True
        waiting = [(job.number, session, job) for session in sessions if (job := self._next_to_speak(session))]
        for _, session, job in sorted(waiting, key=itemgetter(0)):
            worked |= self._guarded(session, job, partial(self.speaking.begin, session, job))
        worked |= self.speaking.step(sessions)
        return self._catch_up(sessions) or worked

    def _next_to_speak(self, session: Session) -> SpeakJob | None:
        job = self.registry.head(session)
        return job if session.live is None and isinstance(job, SpeakJob) else None

    def _catch_up(self, sessions: list[Session]) -> bool:
        """Do one piece of background work, for each conversation in turn."""
        if not sessions:
            return False
        quiet = all(session.live is None for session in sessions)
        first = next(self._rounds) % len(sessions)
        for session in sessions[first:] + sessions[:first]:
            job = self.registry.head(session)
            if not isinstance(job, SpeakJob):
                work = partial(self._catching_up.advance, session, job, quiet=quiet)
                if self._guarded(session, job, work):
                    return True
        return False

    def _guarded(self, session: Session, job: Job | None, work: Callable[[], bool]) -> bool:
        """Run a piece of work of one conversation; its failure fails the job that it is for, and no other."""
        try:
            return work()
        except Exception as error:
            log_failure("a conversation's job failed", error)
            if session.slot is not None:
                self._slots.forget(session.slot)
            session.stale = False
            if job is not None:
                self._catching_up.forget(job)
                self.registry.settle(session, job)
            if isinstance(job, SpeakJob):
                job.utterance.finish("error", typed(error))
            elif isinstance(job, ListenJob):
                job.done.set_exception(typed(error))
            return True

    def _abandon(self) -> None:
        """The engine closes: whoever still waits is told so."""
        error = EngineClosedError("the engine was closed")
        for job in self.registry.abandon():
            if isinstance(job, SpeakJob):
                job.utterance.finish("error", error)
            elif isinstance(job, ListenJob):
                job.done.set_exception(error)
