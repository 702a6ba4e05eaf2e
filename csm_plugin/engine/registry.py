"""The open conversations and what they wait for: the part of the engine that every thread touches."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections import deque

from csm_plugin.engine.jobs import MAX_BUFFERED_FRAMES, Job, ListenJob, SpeakJob
from csm_plugin.engine.session import Session
from csm_plugin.errors import EngineBusyError, EngineClosedError
from csm_plugin.interface import EngineStats, check_waiting


class Registry:
    """Open conversations, admission, and the bell that wakes the device thread. Safe from any thread.

    Args:
        rows: how many conversations speak at the same time.
        max_queue: how many more may wait.
    """

    def __init__(self, rows: int, max_queue: int) -> None:
        self._rows = rows
        self._max_queue = max_queue
        self._lock = threading.Lock()
        self._sessions: list[Session] = []
        self._closed: str | None = None
        self._numbers = itertools.count(1)
        # The only things that garbage collection may touch: putting into a SimpleQueue takes no lock of ours.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._left: queue.SimpleQueue[tuple[Session, SpeakJob | None]] = queue.SimpleQueue()
        self.frames_stepped = 0

    def open(self, session: Session) -> None:
        """Take a conversation in.

        Raises:
            EngineClosedError: the engine was closed.
        """
        with self._lock:
            self._check_open()
            self._sessions.append(session)

    def submit(self, session: Session, job: Job) -> None:
        """Queue a job of a conversation.

        Raises:
            EngineBusyError: no row and no place in the queue, or too many jobs of this conversation wait.
            EngineClosedError: the engine or the conversation was closed.
        """
        with self._lock:
            self._check_open()
            if session.closed:
                raise EngineClosedError("the conversation is closed; open a new one with engine.conversation()")
            check_waiting(len(session.jobs))
            if isinstance(job, SpeakJob) and not session.wants_row:
                self._admit()
            job.number = next(self._numbers)
            session.jobs.append(job)
        self.wake()

    def cancel(self, session: Session, job: SpeakJob) -> None:
        """Cancel an utterance; keep only what was taken of it. Never blocks."""
        self.settle(session, job)
        session.cancel(job)
        self.wake()

    def interrupt(self, session: Session, heard_s: float | None) -> None:
        """Stop a conversation's speech and cut its current turn down to what was heard. Never blocks."""
        with self._lock:
            stopped = [job for job in (*session.jobs, session.live) if isinstance(job, SpeakJob)]
            session.jobs = deque(job for job in session.jobs if not isinstance(job, SpeakJob))
        session.end_turn(heard_s, stopped)
        self.wake()

    def close_session(self, session: Session) -> None:
        """Let a conversation go: what it still speaks is cancelled, its row becomes free. Never blocks."""
        with self._lock:
            session.closed = True
        self.interrupt(session, None)

    def speaking(self, session: Session) -> list[SpeakJob]:
        """Return a conversation's utterances, wherever they are on their way: waiting, live, or not all taken."""
        with self._lock:  # else one could be between waiting and live
            return [job for job in (*session.jobs, session.live, *session.unread) if isinstance(job, SpeakJob)]

    def leave(self, session: Session, job: SpeakJob | None) -> None:
        """Note that the reader of an utterance, or the holder of a conversation, is gone. Takes no lock."""
        self._left.put((session, job))
        self.wake()

    def go_live(self, session: Session, job: SpeakJob) -> bool:
        """Move an utterance from its conversation's queue to its row; False if it was withdrawn meanwhile."""
        with self._lock:
            if job not in session.jobs:
                return False
            session.jobs.remove(job)
            session.live = job
            return True

    def retire(self, session: Session) -> None:
        """A conversation's utterance is over."""
        with self._lock:
            session.live = None
            session.stale = True

    def head(self, session: Session) -> Job | None:
        """Return the first job in a conversation's queue."""
        with self._lock:
            return session.jobs[0] if session.jobs else None

    def next_to_speak(self, session: Session) -> SpeakJob | None:
        """Return the utterance that a conversation could begin: it is silent, and its reader keeps up.

        An utterance overtakes turns of the other side, and waits for voice prompts.
        """
        if session.live is not None or not session.jobs:
            return None
        with self._lock:
            job = next((job for job in session.jobs if not isinstance(job, ListenJob)), None)
        return job if isinstance(job, SpeakJob) and session.unread_frames < MAX_BUFFERED_FRAMES else None

    def settle(self, session: Session, job: Job) -> None:
        """Take a job out of a conversation's queue: it is done, or failed."""
        with self._lock:
            if job in session.jobs:
                session.jobs.remove(job)

    def remove(self, session: Session) -> list[Job]:
        """Forget a closed conversation; return the jobs that it still had."""
        with self._lock:
            self._sessions.remove(session)
            return list(session.jobs)

    def wake(self) -> None:
        """Tell the device thread that something changed. Takes no lock."""
        if self._bell.empty():  # else it has been rung and not been heard yet
            self._bell.put(None)

    def wait(self, timeout_s: float | None) -> list[Session] | None:
        """Wait for the bell and see off who left; return the open conversations, None once the engine closes."""
        with contextlib.suppress(queue.Empty):
            self._bell.get(timeout=timeout_s)
            while True:
                self._bell.get_nowait()
        for _ in range(self._left.qsize()):
            session, job = self._left.get_nowait()
            if job is None:
                self.close_session(session)
            else:
                self.cancel(session, job)
        with self._lock:
            return None if self._closed is not None else list(self._sessions)

    def close(self, reason: str) -> None:
        """Take nothing in any more."""
        with self._lock:
            self._closed = self._closed or reason
        self.wake()

    def abandon(self) -> list[Job]:
        """Forget all conversations and return their jobs."""
        with self._lock:
            jobs: list[Job] = [job for s in self._sessions for job in (*s.jobs, *([s.live] if s.live else []))]
            self._sessions.clear()
            return jobs

    def stats(self) -> EngineStats:
        """Return what is going on."""
        with self._lock:
            live = sum(session.live is not None for session in self._sessions)
            wanting = sum(session.wants_row for session in self._sessions)
            return EngineStats(live, self._rows - live, wanting - live, self.frames_stepped, len(self._sessions))

    def _check_open(self) -> None:
        if self._closed is not None:
            raise EngineClosedError(f"{self._closed}; load a new engine with Engine.load()")

    def _admit(self) -> None:
        """Refuse one more conversation that wants a row where rows and queue are full. The lock is held."""
        wanting = sum(session.wants_row for session in self._sessions)
        if wanting >= self._rows + self._max_queue:
            waiting = wanting - self._rows
            raise EngineBusyError(
                f"all {self._rows} rows speak and {waiting} conversations wait, which is the most; try again "
                "later, or load the engine with more max_conversations or max_queue",
                retry_after_s=1.0 + waiting / self._rows,
            )
