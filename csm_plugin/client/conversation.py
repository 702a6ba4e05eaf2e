"""A conversation with an engine behind a socket, as callers hold it."""

from __future__ import annotations

import itertools
import math
import secrets
import weakref
from dataclasses import replace
from types import EllipsisType, TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from csm_plugin.audio.pcm import check_pcm, resample
from csm_plugin.client.dispatch import Voice
from csm_plugin.client.link import Link
from csm_plugin.client.orders import SpeakOrder
from csm_plugin.client.record import Record
from csm_plugin.conversation import Segment, VoicePrompt
from csm_plugin.conversation.turn import Turn
from csm_plugin.conversation.utterance import Utterance
from csm_plugin.errors import ContextFullError, SettingsError, TextError, VoiceError
from csm_plugin.protocol.shapes import MAX_TEXT
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling, check_sampling, check_speaker
from csm_plugin.text.normalize import check_text, is_speakable
from csm_plugin.text.normalize import normalize as normalize_text


class RemoteConversation:
    """`Conversation`, behind a socket. Safe from any thread; nothing here blocks.

    It keeps what was said, text and codes, and goes on where it was if the server goes away and comes back, or another
    one takes over. What a server would refuse is raised where an utterance is read, not by `speak`.
    """

    def __init__(self, link: Link, codebooks: int, voice: Voice, speaker: int, sampling: Sampling | None) -> None:
        chosen = Sampling() if sampling is None else check_sampling(sampling)
        check_voice(voice, link.voices)
        record = Record(codebooks, link.post, voice, check_speaker(speaker), chosen)
        self._link = link
        self._record = record
        self._utterances = itertools.count()
        weakref.finalize(self, link.depart, record, None)
        link.add(record)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the context holds, oldest first, without the voice prompt; what was not heard is not in it."""
        return self._record.segments

    @property
    def voice(self) -> str | None:
        """The name of its voice prompt, None without one."""
        voice = self._record.voice
        return voice.name if isinstance(voice, VoicePrompt) else voice

    @property
    def speaker(self) -> int:
        """The number under which it speaks."""
        return self._record.speaker

    @property
    def sampling(self) -> Sampling:
        """How it samples unless `speak` says otherwise."""
        return self._record.sampling

    def speak(self, text: str, sampling: Sampling | None = None, normalize: bool = True) -> Utterance:
        """Say something after everything that is being said; returns at once. Arguments as for the engine.

        Raises:
            TextError: the text is not a string, empty, too long, or holds nothing that can be spoken.
            EngineBusyError: 64 utterances and turns of this conversation wait.
            EngineClosedError: the engine or the conversation was closed.

        Reading the utterance raises what the server did not like: EngineBusyError too, ContextFullError; and
        EngineUnreachableError if no server could be reached in time.
        """
        spoken = normalize_text(text) if normalize else check_text(text)
        if not is_speakable(spoken):
            raise TextError("the text holds nothing that can be spoken; pass text with letters or digits in it")
        check_wire_text(spoken)
        chosen = self._seeded() if sampling is None else check_sampling(sampling)
        if chosen.seed is None:
            chosen = replace(chosen, seed=secrets.randbits(62))
        job = self._record.speak(spoken, chosen)
        self._link.want()
        return self._utterance(job)

    def listen(self, text: str, pcm: npt.NDArray[Any], sample_rate: int = SAMPLE_RATE_HZ, speaker: int = 1) -> Turn:
        """Add the other side's turn to the context, after what is being said. Arguments and result as for the engine.

        Raises:
            AudioError, TextError, InputError: something of it cannot be used.
            EngineClosedError: the engine or the conversation was closed.
        """
        checked = check_pcm(pcm, sample_rate)
        if pcm.dtype == np.int16:
            sound, rate = np.ascontiguousarray(pcm, dtype="<i2"), int(sample_rate)
        else:
            sound, rate = resample(checked, sample_rate, SAMPLE_RATE_HZ).astype("<f4"), SAMPLE_RATE_HZ
        words = normalize_text(check_text(text)) if text != "" and is_speakable(check_text(text)) else ""
        return Turn(self._record.listen(check_wire_text(words), sound, rate, check_speaker(speaker)).done)

    def interrupt(self, heard_s: float | None = None) -> None:
        """Stop speaking and keep only what was heard of the current turn. Never blocks.

        Raises:
            SettingsError: `heard_s` is negative or not a number.
        """
        if heard_s is not None and (not isinstance(heard_s, int | float) or not 0 <= heard_s < math.inf):
            raise SettingsError(f"heard_s is {heard_s!r}; it must be a number of seconds of at least 0, or None")
        self._record.interrupt(heard_s)

    def configure(
        self,
        *,
        voice: str | VoicePrompt | EllipsisType | None = ...,
        speaker: int | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        """Change how it speaks from the next `speak` on; the conversation goes on.

        Raises:
            VoiceError, InputError: there is no such voice or speaker; nothing is changed then.
            EngineClosedError: the engine or the conversation was closed.
        """
        record = self._record
        chosen = record.voice if isinstance(voice, EllipsisType) else check_voice(voice, self._link.voices)
        number = record.speaker if speaker is None else check_speaker(speaker)
        record.configure(chosen, number, record.sampling if sampling is None else check_sampling(sampling))

    def close(self) -> None:
        """Stop speaking and free the row. Never blocks."""
        self._record.close()
        self._link.depart(self._record, None)

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

    def _utterance(self, job: SpeakOrder) -> Utterance:
        return Utterance(
            job.text,
            job.buffer,
            cancel=lambda: self._record.cancel(job),
            leave=lambda: self._link.depart(self._record, job),
            taken=lambda: self._record.note_taken(job),
        )

    def _seeded(self) -> Sampling:
        """Return the conversation's sampling, its seed advanced so that no two utterances share one."""
        own = self._record.sampling
        if own.seed is None:
            return own
        return replace(own, seed=(own.seed + next(self._utterances)) % 2**63)


def check_voice(voice: object, voices: list[str]) -> Voice:
    """Return a voice as it is.

    Raises:
        VoiceError: the server has none of that name.
    """
    if voice is None or isinstance(voice, VoicePrompt):
        return voice
    if not isinstance(voice, str) or voice not in voices:
        known = ", ".join(voices) or "none are installed"
        given = repr(voice[:64]) if isinstance(voice, str) else f"of type {type(voice).__name__}"
        raise VoiceError(f"there is no voice {given}; known voices: {known}")
    return voice


def check_wire_text(text: str) -> str:
    """Return a text as it is.

    Raises:
        TextError: it has lone surrogates, which no UTF-8 has.
        ContextFullError: it is longer than a message may be, and so than any context.
    """
    if len(text) > MAX_TEXT:
        raise ContextFullError(
            f"the text has {len(text):,} characters once it is written out, at most {MAX_TEXT:,} are taken at once; "
            "split the text into sentences"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TextError("the text is not valid Unicode; remove its lone surrogates") from None
    return text
