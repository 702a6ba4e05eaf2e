"""Decides what the device does next: begin utterances, step all live rows, and use idle time to catch up.

One thread runs it and owns the device. Every round is short: a live row waits for one prefill chunk of each utterance
that begins, and for one small piece of background work, before its next frame.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from operator import itemgetter

import torch

from csm_plugin.conversation import Budget
from csm_plugin.engine.background import Background
from csm_plugin.engine.jobs import Job, ListenJob, SpeakJob, VoiceJob
from csm_plugin.engine.live_batch import LiveBatch, as_csm_error
from csm_plugin.engine.registry import Registry
from csm_plugin.engine.session import Session
from csm_plugin.engine.slots import Slots
from csm_plugin.engine.stepper import Stepper
from csm_plugin.engine.warm_up import as_warm_up_error, warm_up
from csm_plugin.errors import CSMError, EngineClosedError
from csm_plugin.failures import log_failure
from csm_plugin.model.csm import CSM
from csm_plugin.model.recorder import HIGH_PRIORITY

STALL_CHECK_S = 1.0
"""How often readers that take nothing are looked at, while others wait for a row."""

ONE_THREAD_BELOW_WIDTH = 1_024


class Scheduler:
    """Schedule, run, postprocess, for ever. `run` is the device thread; what other threads ask for, the registry takes.

    Args:
        graphs: whether steps on a GPU run as CUDA graphs.
    """

    def __init__(self, model: CSM, max_queue: int, *, graphs: bool = True) -> None:
        self.model = model
        self.budget = Budget(model.positions)
        self.registry = Registry(model.rows, max_queue)
        slots = Slots(model)
        self.live_batch = LiveBatch(
            model, self.registry, slots, self.budget, Stepper(model, fixed_shapes=on_gpu(model), graphs=graphs)
        )
        self._slots = slots
        self.background = Background(model, self.registry, slots, self.budget)
        self.rounds = 0
        """How many it has gone while conversations were open; a thread that stands still is seen by it."""
        self.ready: Future[None] = Future()
        """Done once the device thread takes work, or has failed before it could."""

    def run(self) -> None:
        """Work until the engine closes: the device thread."""
        try:
            self._settle_on_device()
            warm_up(self.model, self.live_batch.stepper)
            self.ready.set_result(None)
            timeout_s: float | None = None
            while (sessions := self.registry.wait(timeout_s)) is not None:
                if self._round(sessions):
                    self.registry.wake()
                timeout_s = STALL_CHECK_S if any(self.registry.next_to_speak(session) for session in sessions) else None
        except BaseException as error:
            log_failure("the device thread died", error)
            self.registry.close(f"the engine stopped ({type(error).__name__})")
            if self.ready.done():
                raise
            self.ready.set_exception(as_warm_up_error(error, self.model.device))  # whoever loads the engine raises it
        finally:
            self._abandon()
            if on_gpu(self.model):  # else memory could be given to others while the last step still writes to it
                with contextlib.suppress(Exception):
                    torch.cuda.synchronize(self.model.device)

    def _settle_on_device(self) -> None:
        """Make this thread the device's."""
        device = self.model.device
        if on_gpu(self.model):
            torch.cuda.set_device(device)
            torch.cuda.synchronize(device)  # the weights came on another thread's stream
            # of its own: on the process's default stream it would queue behind whatever else runs there
            torch.cuda.set_stream(torch.cuda.Stream(device, priority=HIGH_PRIORITY))
        elif self.model.config.backbone.width < ONE_THREAD_BELOW_WIDTH:
            torch.set_num_threads(1)  # of this thread alone: smaller products are not worth waiting for a second one

    def _round(self, sessions: list[Session]) -> bool:
        """Do one round of work; tell whether there was any."""
        for session in [session for session in sessions if session.closed]:
            self._drop(session)
            sessions.remove(session)
        worked = False
        waiting = [(job.number, session, job) for session in sessions if (job := self.registry.next_to_speak(session))]
        for _, session, job in sorted(waiting, key=itemgetter(0)):
            self.background.take_ready(session)
            worked |= self._guarded(session, job, partial(self.live_batch.begin, session, job))
        if any(self.registry.next_to_speak(session) for session in sessions):
            self.live_batch.end_stalled(sessions)
        worked |= self.live_batch.step()
        return self._catch_up(sessions) or worked

    def _drop(self, session: Session) -> None:
        """Forget a closed conversation."""
        self.live_batch.drop(session)
        for job in self.registry.remove(session):
            self._fail(job, EngineClosedError("the conversation was closed"))

    def _catch_up(self, sessions: list[Session]) -> bool:
        """Do one piece of background work, for each conversation in turn."""
        if not sessions:
            return False
        quiet = all(session.live is None for session in sessions)
        first = self.rounds % len(sessions)
        self.rounds += 1
        for session in sessions[first:] + sessions[:first]:
            job = self.registry.head(session)
            if not isinstance(job, SpeakJob):
                work = partial(self.background.advance, session, job, quiet=quiet)
                if self._guarded(session, job, work):
                    return True
        return False

    def _guarded(self, session: Session, job: Job | None, work: Callable[[], bool]) -> bool:
        """Run a piece of work of one conversation; its failure fails the job that it is for, and no other."""
        try:
            return work()
        except Exception as error:
            log_failure("a conversation's job failed", error)
            if session.slot is not None and session.live is None:
                self._slots.forget(session.slot)
            session.stale = False
            if job is not None:
                self.registry.settle(session, job)
                self._fail(job, as_csm_error(error))
            if isinstance(job, ListenJob):
                session.give_up(job)
            if isinstance(job, VoiceJob):
                session.voice_failure = as_csm_error(error)
            return True

    def _fail(self, job: Job, error: CSMError) -> None:
        """Tell whoever waits for a job that it failed."""
        self.background.forget(job)
        if isinstance(job, SpeakJob):
            job.buffer.finish("error", error)
        elif isinstance(job, ListenJob):
            job.done.set_exception(error)

    def _abandon(self) -> None:
        """The engine closes: whoever still waits is told so."""
        for job in self.registry.abandon():
            self._fail(job, EngineClosedError("the engine was closed"))


def on_gpu(model: CSM) -> bool:
    """Tell whether a model runs on a GPU."""
    return model.device.type == "cuda"
