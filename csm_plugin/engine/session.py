"""What the engine keeps of one conversation: its ledger, the jobs that wait, and the row that it speaks from."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation import Entry, Ledger, VoicePrompt
from csm_plugin.conversation.segment import Codes
from csm_plugin.engine.ends import SilenceGate
from csm_plugin.engine.slots import Slot
from csm_plugin.engine.utterance import Utterance
from csm_plugin.settings import Sampling


@dataclass(slots=True, eq=False)
class SpeakJob:
    """An utterance that waits, is prepared, or is being spoken."""

    utterance: Utterance
    entry: Entry
    sampling: Sampling
    seed: int
    max_frames: int
    number: int = 0  # in the order in which jobs came, over all conversations
    gate: SilenceGate = field(init=False)
    launched: int = 0  # steps that were given to the device
    made: int = 0  # frames that came back
    unreleased: deque[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]] = field(default_factory=deque)
    handed_over: int = 0  # frames that went to the utterance's buffer

    def __post_init__(self) -> None:
        self.gate = SilenceGate(trim=self.sampling.trim_silence)


@dataclass(slots=True, eq=False)
class ListenJob:
    """The other side's turn, to be encoded and added to the context."""

    entry: Entry
    pcm: npt.NDArray[np.float32]
    number: int = 0
    done: Future[None] = field(default_factory=Future)


@dataclass(slots=True, eq=False)
class VoiceJob:
    """A voice prompt to put in front of the context; None takes it away."""

    prompt: VoicePrompt | None
    entry: Entry | None
    number: int = 0

    @property
    def pcm(self) -> npt.NDArray[np.float32]:
        """The prompt's sound, empty without one."""
        return np.zeros(0, dtype=np.float32) if self.prompt is None else self.prompt.pcm


Job = SpeakJob | ListenJob | VoiceJob


@dataclass(slots=True, eq=False)
class Session:
    """One conversation inside the engine.

    `lock` guards the ledger and is held for moments only. `jobs`, `live` and `slot` belong to the scheduler.
    """

    ledger: Ledger
    lock: threading.Lock = field(default_factory=threading.Lock)
    jobs: deque[Job] = field(default_factory=deque)
    live: SpeakJob | None = None
    slot: Slot | None = None
    turn: list[SpeakJob] = field(default_factory=list)  # of the current turn, while unread sound of them may exist
    voice: tuple[VoicePrompt, int] | None = None  # prompt and speaker in front of the context
    stale: bool = False  # the row's cache may lag behind the ledger
    closed: bool = False

    @property
    def wants_row(self) -> bool:
        """Whether it speaks or waits to speak."""
        return self.live is not None or any(isinstance(job, SpeakJob) for job in tuple(self.jobs))

    def add_frame(self, job: SpeakJob, codes: npt.NDArray[np.int32]) -> bool:
        """Append a frame to the ledger; False where the utterance was cancelled meanwhile."""
        with self.lock:
            if job.utterance.done:
                return False
            job.entry.frames.append(codes)
            job.entry.lead = job.gate.lead
            return True

    def drop_unheard(self, job: SpeakJob) -> None:
        """Keep only what the reader took of an utterance."""
        with self.lock:
            self._drop_unheard(job)

    def end_turn(self, heard_s: float | None) -> None:
        """Cancel what is unread of the current turn, cut it down to what was heard, and begin the next."""
        with self.lock:
            unread = [job for job in self.turn if not job.utterance.exhausted]
            live = next((job.entry for job in self.turn if not job.utterance.done), None)
            if heard_s is None:
                for job in unread:
                    self._drop_unheard(job)
            self.ledger.cut_turn(heard_s, live)
            for job in unread:
                job.utterance.discard()
            self.turn.clear()
            self.stale = True

    def begin(self, job: SpeakJob) -> None:
        """Add an utterance to the current turn, unless it was cancelled meanwhile."""
        with self.lock:
            if job.utterance.done:
                return
            self.turn = [earlier for earlier in self.turn if not earlier.utterance.exhausted]
            self.turn.append(job)
            self.ledger.append(job.entry)

    def finish(self, job: SpeakJob) -> None:
        """Cut an utterance that ended down to what is delivered of it."""
        with self.lock:
            entry = job.entry
            del entry.frames[entry.lead + job.gate.released :]
            if not entry.heard_frames:
                self.ledger.remove(entry)
            self.stale = True

    def listen(self, job: ListenJob, codes: list[Codes]) -> None:
        """Add the other side's turn; what was spoken before it is settled."""
        with self.lock:
            job.entry.frames = list(codes)
            self.ledger.append(job.entry)
            self.ledger.begin_turn()
            self.turn.clear()
            self.stale = True

    def set_voice(self, job: VoiceJob, codes: list[Codes]) -> None:
        """Put a voice prompt in front of the context."""
        with self.lock:
            if job.entry is not None:
                job.entry.frames = list(codes)
            self.ledger.set_prompt(job.entry)
            self.voice = None if job.prompt is None or job.entry is None else (job.prompt, job.entry.speaker)
            self.stale = True

    def _drop_unheard(self, job: SpeakJob) -> None:
        taken = min(job.utterance.taken_frames, job.entry.heard_frames)
        if not self.ledger.cut(job.entry, taken, ended=job.utterance.finish_reason == "end"):
            self.ledger.remove(job.entry)
        self.stale = True
