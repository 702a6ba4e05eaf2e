"""Idle time: encode what was heard, prefill it before it is needed, make room in full contexts."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt
from loguru import logger

from csm_plugin.conversation import Budget, VoicePrompt
from csm_plugin.conversation.segment import Codes
from csm_plugin.engine.encoding import Encoding
from csm_plugin.engine.registry import Registry
from csm_plugin.engine.session import Job, ListenJob, Session, VoiceJob
from csm_plugin.engine.slots import Slots
from csm_plugin.model.csm import CSM

MAX_VOICES = 64
"""Voice prompts whose codes are remembered."""

# How much is done at once: while others speak, and while nobody does.
PREFILL_CHUNKS = (64, 256)
ENCODE_FRAMES = (5, 25)


class CatchingUp:
    """Does in small pieces what a conversation needs before it speaks next. For the device thread only."""

    def __init__(self, model: CSM, registry: Registry, slots: Slots, budget: Budget) -> None:
        self._model = model
        self._registry = registry
        self._slots = slots
        self._budget = budget
        self._encodings: dict[Job, Encoding] = {}
        self._voices: OrderedDict[VoicePrompt, list[Codes]] = OrderedDict()

    def advance(self, session: Session, *, quiet: bool) -> bool:
        """Do one piece of work for a conversation; `quiet` says that nobody speaks. Tell whether there was any."""
        job = session.jobs[0] if session.jobs else None
        if isinstance(job, ListenJob | VoiceJob):
            self._take_in(session, job, ENCODE_FRAMES[quiet])
            return True
        if session.live is not None or job is not None or not session.stale:
            return False
        slot = session.slot or self._slots.claim(session, steal=False)
        if slot is None:
            return False
        with session.lock:
            session.stale = False
            if self._budget.is_full(session.ledger.length):
                dropped = session.ledger.evict(self._budget.keep(session.ledger.prompt_length))
                logger.debug("dropped old segments from a full context", segments=dropped)
            target = session.ledger.positions()
            pinned = session.ledger.prompt_length
        if not self._slots.advance(slot, target, pinned, session.voice, PREFILL_CHUNKS[quiet]):
            session.stale = True
        return True

    def forget(self, job: Job | None) -> None:
        """Drop a job's half-done encoding."""
        if job is not None:
            self._encodings.pop(job, None)

    def _take_in(self, session: Session, job: ListenJob | VoiceJob, frames: int) -> None:
        """Encode a little of a turn or of a voice prompt; when it is complete, the context has it."""
        codes = self._turn_codes(job, frames) if isinstance(job, ListenJob) else self._voice_codes(job, frames)
        if codes is None:
            return
        if isinstance(job, ListenJob):
            job.entry.frames = codes
            session.listen(job.entry)
        else:
            session.set_voice(job, codes)
        self._registry.take_head(session)
        if isinstance(job, ListenJob):
            job.done.set_result(None)

    def _turn_codes(self, job: ListenJob, frames: int) -> list[Codes] | None:
        return self._encode(job, job.pcm, frames)

    def _voice_codes(self, job: VoiceJob, frames: int) -> list[Codes] | None:
        prompt = job.prompt
        if prompt is None:
            return []
        if prompt not in self._voices:
            codes = self._encode(job, prompt.pcm, frames)
            if codes is None:
                return None
            self._voices[prompt] = codes
            while len(self._voices) > MAX_VOICES:
                self._voices.popitem(last=False)
        self._voices.move_to_end(prompt)
        return list(self._voices[prompt])

    def _encode(self, job: Job, pcm: npt.NDArray[np.float32], frames: int) -> list[Codes] | None:
        """Encode the next frames of a job's sound; return all of its codes once they are complete."""
        if job not in self._encodings:
            self._encodings[job] = Encoding(self._model.mimi, pcm)
        encoding = self._encodings[job]
        encoding.advance(frames)
        return self._encodings.pop(job).frames if encoding.done else None
