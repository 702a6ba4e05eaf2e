"""A conversation, as callers hold it."""

from __future__ import annotations

import itertools
import math
import secrets
import weakref
from dataclasses import replace
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from csm_plugin.audio.pcm import check_pcm, resample
from csm_plugin.conversation import Entry, Ledger, Segment, VoiceLibrary, VoicePrompt, longest_utterance
from csm_plugin.conversation.turn import Turn
from csm_plugin.conversation.utterance import Utterance
from csm_plugin.engine.delivery import Delivery
from csm_plugin.engine.jobs import ListenJob, SpeakJob, VoiceJob
from csm_plugin.engine.session import Session
from csm_plugin.engine.transfer import Transfer
from csm_plugin.engine.word_times.clock import WordClock
from csm_plugin.engine.word_times.script import Script
from csm_plugin.errors import SettingsError, TextError
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling, check_sampling
from csm_plugin.text.normalize import check_text, is_speakable
from csm_plugin.text.normalize import normalize as normalize_text

if TYPE_CHECKING:
    from csm_plugin.engine.scheduler import Scheduler
    from csm_plugin.model.tokenizer import SegmentTokenizer


class Conversation:
    """What is said between a voice and its listeners. Safe from any thread; nothing here blocks.

    Utterances are spoken one after the other and become context for the next, as does what the other side says. Use it
    with `with` or `async with`, or `close()` it; one that nobody holds any more, its utterances neither, closes itself.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        tokenizer: SegmentTokenizer,
        voices: VoiceLibrary,
        *,
        voice: str | VoicePrompt | None,
        speaker: int,
        sampling: Sampling | None,
    ) -> None:
        self._registry = scheduler.registry
        self._budget = scheduler.budget
        self._model = scheduler.model
        self._tokenizer = tokenizer
        self._voices = voices
        self._voice: VoicePrompt | None = None
        self._speaker = speaker
        self._continued: Entry | None = None  # the voice prompt, if every utterance continues it
        self._beside = 0  # positions that the voice prompt takes beside whatever is said
        self._sampling = Sampling() if sampling is None else check_sampling(sampling)
        self._utterances = itertools.count()
        tokenizer.encode("", speaker)
        prompt = None if voice is None else voices.get(voice)
        self._session = Session(Ledger(self._model.config.codebooks, tokenizer.encode))
        self._registry.open(self._session)
        weakref.finalize(self, self._registry.leave, self._session, None)
        if prompt is not None:
            self._set_voice(prompt, speaker)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the context holds, oldest first, without the voice prompt; what was not heard is not in it."""
        with self._session.lock:
            return self._session.ledger.segments

    @property
    def voice(self) -> str | None:
        """The name of its voice prompt, None without one."""
        return None if self._voice is None else self._voice.name

    @property
    def speaker(self) -> int:
        """The number under which it speaks."""
        return self._speaker

    @property
    def sampling(self) -> Sampling:
        """How it samples unless `speak` says otherwise."""
        return self._sampling

    def speak(self, text: str, sampling: Sampling | None = None, normalize: bool = True) -> Utterance:
        """Say something after everything that is being said; returns at once.

        Args:
            text: up to 4,096 characters; about 30 s of speech is the most that CSM speaks well in one piece.
            sampling: instead of the conversation's own.
            normalize: False hands the text to the tokenizer as it is.

        Raises:
            TextError: the text is not a string, empty, too long, or holds nothing that can be spoken.
            ContextFullError: it cannot fit into the context beside the voice prompt.
            EngineBusyError: every row speaks and the queue is full, or 64 utterances of this conversation wait.
            EngineClosedError: the engine or the conversation was closed.
        """
        spoken = normalize_text(text) if normalize else check_text(text)
        if not normalize and not is_speakable(spoken):
            raise TextError("the text holds nothing that can be spoken; pass text with letters or digits in it")
        sampling = self._seeded() if sampling is None else check_sampling(sampling)
        continued = self._continued
        placed = self._tokenizer.place(spoken, self._speaker, "" if continued is None else continued.text)
        own = placed.tokens if continued is None else self._tokenizer.encode(spoken, self._speaker)
        self._budget.check(self._beside, len(own))
        script = Script.of(spoken, placed)
        clock = WordClock.of(script, self._session.pace, attention=self._model.alignment is not None)
        job = SpeakJob(
            entry=Entry(self._speaker, spoken, own),
            tokens=placed.tokens,
            continued=continued,
            script=script,
            clock=clock,
            delivery=Delivery(clock, trim=sampling.trim_silence),
            sampling=sampling,
            seed=secrets.randbits(62) if sampling.seed is None else sampling.seed,
            max_frames=longest_utterance(spoken, sampling.max_seconds),
        )
        self._registry.submit(self._session, job)
        return Utterance(
            spoken,
            job.buffer,
            cancel=lambda: self._registry.cancel(self._session, job),
            leave=lambda: self._registry.leave(self._session, job),
            taken=self._registry.wake,
        )

    def listen(self, text: str, pcm: npt.NDArray[Any], sample_rate: int = SAMPLE_RATE_HZ, speaker: int = 1) -> Turn:
        """Add the other side's turn to the context, after what is being said.

        Nothing waits while it is encoded: what is spoken meanwhile overtakes it, and it takes its place before that.

        Args:
            text: what was said; may be empty where nobody knows.
            pcm: its sound, float in [-1, 1] or int16, [samples], mono, at most 120 s.
            sample_rate: in Hz.
            speaker: the number of whoever spoke.

        Returns:
            awaitable: done when the context has it; await it for an utterance that is to be spoken with it in mind.

        Raises:
            AudioError: the sound cannot be used.
            TextError: the text is not a string or too long.
            ContextFullError: it cannot fit into the context beside the voice prompt.
            EngineBusyError, EngineClosedError: as for `speak`.
        """
        sound = resample(check_pcm(pcm, sample_rate), sample_rate, SAMPLE_RATE_HZ)
        words = normalize_text(text) if text != "" and is_speakable(check_text(text)) else ""
        job = ListenJob(Entry(speaker, words, self._tokenizer.encode(words, speaker)), sound)
        self._budget.check(self._beside, len(job.entry.tokens) + frames_of(sound))
        self._registry.submit(self._session, job)
        return Turn(job.done)

    def interrupt(self, heard_s: float | None = None) -> None:
        """Stop speaking and keep only what was heard of the current turn. Never blocks.

        Args:
            heard_s: seconds of the turn's sound that were heard, from its first frame. None: all that was taken.

        Raises:
            SettingsError: `heard_s` is negative or not a number.
        """
        if heard_s is not None and (not isinstance(heard_s, int | float) or not 0 <= heard_s < math.inf):
            raise SettingsError(f"heard_s is {heard_s!r}; it must be a number of seconds of at least 0, or None")
        self._registry.interrupt(self._session, heard_s)

    def configure(
        self,
        *,
        voice: str | VoicePrompt | EllipsisType | None = ...,
        speaker: int | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        """Change how it speaks from the next `speak` on; the conversation goes on.

        Args:
            voice: a name, a prompt, or None for no prompt.
            speaker: a number from 0 to 99.
            sampling: the new default.

        Raises:
            VoiceError, InputError: there is no such voice or speaker.
            EngineBusyError, EngineClosedError: as for `speak`. After any error nothing is changed.
        """
        prompt = self._voice
        if not isinstance(voice, EllipsisType):
            prompt = None if voice is None else self._voices.get(voice)
        if speaker is not None:
            self._tokenizer.encode("", speaker)
        number = self._speaker if speaker is None else speaker
        if prompt is not self._voice or (number != self._speaker and prompt is not None):
            self._set_voice(prompt, number)
        self._speaker = number
        self._sampling = self._sampling if sampling is None else check_sampling(sampling)

    def transfer(self, gone_frames: int = 0) -> Transfer:
        """Return the context by numbers that a far side gives, to tell it to another machine or take it over from one.

        Args:
            gone_frames: heard frames of the current turn that will not be recalled.
        """
        return Transfer(self._session, self._registry, self._tokenizer, self._model.config, gone_frames)

    def close(self) -> None:
        """Stop speaking and free the row. Never blocks."""
        self._registry.close_session(self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _set_voice(self, prompt: VoicePrompt | None, speaker: int) -> None:
        entry, beside, continued = None, 0, False
        if prompt is not None:
            entry = Entry(speaker, prompt.text, self._tokenizer.encode(prompt.text, speaker))
            beside = len(entry.tokens) + frames_of(prompt.pcm) + 1
            continued = (prompt.style or self._model.config.voice_style) == "continue"
        self._registry.submit(self._session, VoiceJob(prompt, entry, continued))
        self._voice, self._beside = prompt, beside
        self._continued = entry if continued else None

    def _seeded(self) -> Sampling:
        """Return the conversation's sampling, its seed advanced so that no two utterances share one."""
        own = self._sampling
        if own.seed is None:
            return own
        return replace(own, seed=(own.seed + next(self._utterances)) % 2**63)


def frames_of(pcm: npt.NDArray[np.float32]) -> int:
    """Return how many frames a sound at 24 kHz takes."""
    return -(-len(pcm) // FRAME_SAMPLES)
