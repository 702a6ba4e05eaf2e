"""What the engine keeps of one conversation: its ledger, the jobs that wait, and the row that it speaks from."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from csm_plugin.conversation import Ledger, VoicePrompt, Word, split_words
from csm_plugin.conversation.durations import Pace, expected_s
from csm_plugin.conversation.frame_buffer import Frame
from csm_plugin.conversation.segment import Codes
from csm_plugin.engine.jobs import Job, ListenJob, SpeakJob, VoiceJob
from csm_plugin.engine.word_times.loudness import speech_s
from csm_plugin.errors import CSMError

if TYPE_CHECKING:
    from csm_plugin.engine.slots import Slot


@dataclass(slots=True, eq=False)
class Session:
    """One conversation inside the engine.

    `lock` guards the ledger and `unread`, and is held for moments only. `jobs`, `live` and `slot` belong to the
    registry and the device thread.
    """

    ledger: Ledger
    lock: threading.Lock = field(default_factory=threading.Lock)
    jobs: deque[Job] = field(default_factory=deque)
    live: SpeakJob | None = None
    slot: Slot | None = None
    unread: list[SpeakJob] = field(default_factory=list)  # begun, and not all of their sound was taken yet
    voice: tuple[VoicePrompt, int] | None = None  # prompt and speaker in front of the context
    continued: int = 0  # positions that every utterance needs for the voice prompt that it continues
    voice_failure: CSMError | None = None
    pace: Pace = field(default_factory=Pace)
    stale: bool = False  # the row's cache may lag behind the ledger
    closed: bool = False

    @property
    def wants_row(self) -> bool:
        """Whether it speaks or waits to speak."""
        return self.live is not None or self.first_waiting is not None

    @property
    def first_waiting(self) -> int | None:
        """The number of its first waiting utterance."""
        return next((job.number for job in tuple(self.jobs) if isinstance(job, SpeakJob)), None)

    @property
    def unread_frames(self) -> int:
        """How many frames wait for its reader."""
        with self.lock:
            self.unread = [job for job in self.unread if not job.buffer.exhausted]
            return sum(len(job.buffer) for job in self.unread)

    def begin(self, job: SpeakJob) -> None:
        """Add an utterance to the current turn, behind turns that it overtakes, unless it was cancelled meanwhile."""
        self.hold_turns(before=job.number)
        with self.lock:
            if not job.buffer.done:
                self.unread.append(job)
                self.ledger.append(job.entry)

    def add_frame(self, job: SpeakJob, codes: Codes) -> bool:
        """Append a frame to the ledger; False where the utterance was cancelled meanwhile."""
        with self.lock:
            if job.buffer.done:
                return False
            job.entry.frames.append(codes)
            job.entry.lead = job.delivery.gate.lead
            return True

    def hand_over(self, job: SpeakJob, frames: Sequence[Frame], late: Sequence[Word] = ()) -> None:
        """Give frames to the reader; the ledger notes the words in them, and those that come too late for a frame."""
        words = [*(word for frame in frames for word in frame.words), *late]
        if words:
            with self.lock:
                if not job.buffer.done:
                    job.entry.words.extend(words)
        job.buffer.deliver(frames)

    def finish(self, job: SpeakJob, *, ended: bool) -> None:
        """Cut an utterance that is over down to what is delivered; one that did not end, to the words in it too."""
        with self.lock:
            entry = job.entry
            if job.buffer.done:
                return  # it was cancelled meanwhile, and cut then
            del entry.frames[entry.lead + job.delivery.gate.released :]
            if not (entry.heard_frames if ended else self.ledger.cut_to_words(entry)):
                self.ledger.remove(entry)
            self.stale = True

    def cancel(self, job: SpeakJob) -> None:
        """Cancel an utterance and keep only what the reader took of it."""
        with self.lock:
            self._drop_unheard(job)

    def end_turn(self, heard_s: float | None, stopped: list[SpeakJob]) -> None:
        """Cancel what was stopped or is unread, cut the current turn down to what was heard, and begin the next."""
        with self.lock:
            for job in [*stopped, *self.unread]:
                self._drop_unheard(job)
            self.unread.clear()
            self.ledger.cut_turn(heard_s)
            self.stale = True

    def _drop_unheard(self, job: SpeakJob) -> None:
        """End an utterance as cancelled, unless all of it was taken; keep what was. The lock is held."""
        ended = job.buffer.finish_reason == "end"
        if job.buffer.discard():
            taken = min(job.buffer.taken, job.entry.heard_frames)
            if not self.ledger.cut(job.entry, taken, ended=ended):
                self.ledger.remove(job.entry)
            self.stale = True

    def hold_turns(self, before: float = math.inf) -> None:
        """Keep places for the other side's turns that wait to be encoded, as far as they came before a job."""
        with self.lock:
            for job in tuple(self.jobs):
                if isinstance(job, ListenJob) and job.number < before:
                    self.ledger.hold(job.entry)

    def listen(self, job: ListenJob, codes: list[Codes]) -> None:
        """Add the other side's turn; what was spoken before it is settled."""
        with self.lock:
            self.ledger.add_turn(job.entry, list(codes))
            self.stale = True

    def give_up(self, job: ListenJob) -> None:
        """Give away the place of a turn that cannot be had."""
        with self.lock:
            self.ledger.remove(job.entry)

    def set_voice(self, job: VoiceJob, codes: list[Codes]) -> None:
        """Put a voice prompt in front of the context, or have it there for utterances to continue."""
        with self.lock:
            if job.entry is not None:
                job.entry.frames = list(codes)
            pinned = None if job.continued else job.entry
            self.ledger.set_prompt(pinned)
            self.voice = None if job.prompt is None or pinned is None else (job.prompt, pinned.speaker)
            self.continued = job.entry.length if job.continued and job.entry is not None else 0
            self.voice_failure = None
            self.pace.forget()
            if job.prompt is not None:
                self.pace.learn(float(expected_s(split_words(job.prompt.text)).sum()), speech_s(job.prompt.pcm))
            self.stale = True
