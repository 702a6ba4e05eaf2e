"""Idle time: encode what was heard, prefill it before it is needed, make room in full contexts."""

from __future__ import annotations

from collections import OrderedDict

from loguru import logger

from csm_plugin.conversation import Budget, VoicePrompt
from csm_plugin.engine.encoding import Encoding
from csm_plugin.engine.jobs import Job, ListenJob, VoiceJob
from csm_plugin.engine.registry import Registry
from csm_plugin.engine.session import Session
from csm_plugin.engine.slots import Slots
from csm_plugin.model.csm import CSM

MAX_VOICES = 64
"""Voice prompts whose codes are remembered."""

# How much is done at once: while others speak, and while nobody does.
PREFILL_CHUNKS = (64, 256)
ENCODE_FRAMES = (5, 25)


class Background:
    """Does in small pieces what a conversation needs before it speaks next. For the device thread only."""

    def __init__(self, model: CSM, registry: Registry, slots: Slots, budget: Budget) -> None:
        self._model = model
        self._registry = registry
        self._slots = slots
        self._budget = budget
        self._encodings: dict[Job | VoicePrompt, Encoding] = {}
        self._voices: OrderedDict[Job | VoicePrompt, Encoding] = OrderedDict()

    def advance(self, session: Session, job: ListenJob | VoiceJob | None, *, quiet: bool) -> bool:
        """Do one piece of work for a conversation.

        Args:
            job: the first in its queue, if there is one.
            quiet: nobody speaks, so there is time for more at once.

        Returns:
            whether there was anything to do.
        """
        if job is not None:
            return self._take_in(session, job, ENCODE_FRAMES[quiet])
        if session.live is not None or not session.stale:
            return False
        slot = session.slot or self._slots.claim(session)
        if slot is None:
            return False
        with session.lock:
            session.stale = False
            if self._budget.is_full(session.ledger.length + session.continued):
                keep = self._budget.keep(session.ledger.prompt_length) - session.continued
                dropped = session.ledger.evict(keep)
                logger.debug("dropped old segments from a full context", segments=dropped)
            target = session.ledger.positions()
            pinned = session.ledger.prompt_length
        if not self._slots.advance(slot, target, pinned, session.voice, PREFILL_CHUNKS[quiet]):
            session.stale = True
        return True

    def take_ready(self, session: Session) -> None:
        """Take in the turns of the other side that are encoded, so that the next utterance does not overtake them."""
        while isinstance(job := self._registry.head(session), ListenJob):
            if job not in self._encodings or not self._encodings[job].done:
                return
            self._take_in(session, job, 0)

    def forget(self, job: Job) -> None:
        """Drop a job's encoding, a voice prompt's only if it is half done."""
        self._encodings.pop(job, None)
        prompt = job.prompt if isinstance(job, VoiceJob) else None
        if prompt is not None and prompt in self._voices and not self._voices[prompt].done:
            del self._voices[prompt]

    def _take_in(self, session: Session, job: ListenJob | VoiceJob, frames: int) -> bool:
        """Encode a little of a turn or of a voice prompt; when all is encoded and said, the context has it."""
        encoding = self._encoding(job)
        if not encoding.done:
            encoding.advance(frames)
            return True
        if session.live is not None and session.live.number < job.number:
            return False
        self._registry.settle(session, job)
        self.forget(job)
        if isinstance(job, ListenJob):
            session.listen(job, encoding.frames)
            job.done.set_result(job.entry)
        else:
            session.set_voice(job, encoding.frames)
        return True

    def _encoding(self, job: ListenJob | VoiceJob) -> Encoding:
        """Return the encoding of a job's sound; conversations with the same voice prompt share one."""
        key = job if isinstance(job, ListenJob) or job.prompt is None else job.prompt
        known = self._encodings if isinstance(key, ListenJob | VoiceJob) else self._voices
        if key not in known:
            known[key] = Encoding(self._model.mimi, job.pcm)
        if len(self._voices) > MAX_VOICES:
            self._voices.popitem(last=False)
        return known[key]
