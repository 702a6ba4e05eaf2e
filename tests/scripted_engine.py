"""An engine without a model: every utterance is a tone, with delays and faults as scripted.

It keeps the engine's interface and its ledger, so that what a service does on a fault or at a certain moment can be
tested exactly, together with what the context holds then.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from dataclasses import dataclass, field
from types import EllipsisType, TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from csm_plugin.audio.pcm import check_pcm, resample
from csm_plugin.conversation import Entry, Ledger, VoicePrompt
from csm_plugin.conversation import Segment as HeldSegment
from csm_plugin.conversation.words import Word
from csm_plugin.errors import EngineClosedError, TextError, VoiceError
from csm_plugin.interface import EngineStats
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling
from csm_plugin.text.normalize import check_text, is_speakable
from csm_plugin.text.normalize import normalize as normalize_text

CODEBOOKS = 8
Pcm = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Script:
    """What happens to one utterance.

    Args:
        frames: how many frames of 80 ms it has; None is one per character of its text.
        sound: what is heard instead of a tone, float32 [frames * 1920].
        words: when its words are heard; None spreads them evenly.
        frames_per_chunk: how many frames come in one chunk.
        frame_delay_s: how long each chunk takes to make, in seconds.
        refusal: what `speak` raises instead of starting.
        fault: what the iteration raises after `fault_after` chunks.
        fault_after: chunks before the fault.
        finish_reason: what the utterance ends with.
    """

    frames: int | None = None
    sound: Pcm | None = None
    words: Sequence[Word] | None = None
    frames_per_chunk: int = 1
    frame_delay_s: float = 0.0
    refusal: Exception | None = None
    fault: Exception | None = None
    fault_after: int = 0
    finish_reason: str = "end"


@dataclass(frozen=True, slots=True)
class ScriptedChunk:
    """A stand-in for `SpeechChunk`."""

    pcm: Pcm
    codes: Codes
    start_s: float
    words: tuple[Word, ...] = ()


@dataclass(slots=True)
class Segment:
    """What was asked to be said, how, and what was delivered of it, whether it was heard or not."""

    speaker: int
    text: str
    voice: str | None
    sampling: Sampling
    chunks: list[ScriptedChunk] = field(default_factory=list)

    @property
    def pcm(self) -> Pcm:
        """All that was delivered, float32 [samples]."""
        return np.concatenate([chunk.pcm for chunk in self.chunks]) if self.chunks else np.zeros(0, np.float32)

    @property
    def seconds(self) -> float:
        """Length of what was delivered."""
        return len(self.pcm) / SAMPLE_RATE_HZ


class ScriptedUtterance:
    """A stand-in for `Utterance`."""

    def __init__(self, talk: ScriptedConversation, segment: Segment, script: Script) -> None:
        self.finish_reason: str | None = None
        self.text = segment.text
        self.entry = Entry(segment.speaker, segment.text, _tokens(segment.text, segment.speaker))
        self._talk = talk
        self._segment = segment
        self._script = script
        count = len(segment.text) if script.frames is None else script.frames
        self._count = count
        self._words = words_of(segment.text, count * FRAME_S) if script.words is None else script.words
        talk.engine.live.append(self)
        talk.ledger.append(self.entry)

    def cancel(self) -> None:
        if self._finish("cancelled"):
            self._keep_delivered()

    async def __aiter__(self) -> AsyncIterator[ScriptedChunk]:
        script = self._script
        for start in range(0, self._count, script.frames_per_chunk):
            if script.fault is not None and start >= script.fault_after * script.frames_per_chunk:
                if self._finish("error"):
                    self._keep_delivered()
                raise script.fault
            await asyncio.sleep(script.frame_delay_s)
            if self.finish_reason is not None:
                return
            yield self._take(start, min(script.frames_per_chunk, self._count - start))
        self._finish(script.finish_reason)

    def _take(self, start: int, frames: int) -> ScriptedChunk:
        self._talk.engine.frames_stepped += frames
        end_s = (start + frames) * FRAME_S
        sound = self._script.sound
        chunk = ScriptedChunk(
            pcm=tone(self._segment, start, frames)
            if sound is None
            else sound[start * FRAME_SAMPLES : (start + frames) * FRAME_SAMPLES],
            codes=np.full((frames, CODEBOOKS), 1, np.int32),
            start_s=start * FRAME_S,
            words=tuple(word for word in self._words if start * FRAME_S < word.end_s - 1e-9 <= end_s),
        )
        self.entry.frames.extend(chunk.codes)
        self.entry.words.extend(chunk.words)
        self._segment.chunks.append(chunk)
        return chunk

    def _keep_delivered(self) -> None:
        if self.entry.frames:
            self._talk.ledger.cut(self.entry, self.entry.heard_frames, ended=False)
        else:
            self._talk.ledger.remove(self.entry)

    def _finish(self, reason: str) -> bool:
        """The first reason stays; tell whether this is it."""
        if self.finish_reason is not None:
            return False
        self.finish_reason = reason
        self._talk.engine.live.remove(self)
        return True


class ScriptedTurn:
    """A stand-in for the user's turn on its way into the context: it is there at once."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


class ScriptedConversation:
    """A stand-in for `Conversation`."""

    def __init__(self, engine: ScriptedEngine, voice: str | None, speaker: int, sampling: Sampling | None) -> None:
        self.closed = False
        self.engine = engine
        self.ledger = Ledger(CODEBOOKS, _tokens)
        self.interruptions: list[float | None] = []
        self.heard: list[tuple[str, Pcm, int]] = []
        """What was listened to: text, float32 [samples] at 24 kHz, speaker."""
        self.voice, self.speaker, self.sampling = voice, speaker, sampling or Sampling()
        self._last: ScriptedUtterance | None = None

    @property
    def segments(self) -> tuple[HeldSegment, ...]:
        return self.ledger.segments

    def speak(self, text: str, sampling: Sampling | None = None, normalize: bool = True) -> ScriptedUtterance:
        if self.closed or self.engine.closed:
            raise EngineClosedError("closed: open another conversation")
        spoken = normalize_text(text) if normalize else check_text(text)
        if not is_speakable(spoken):
            raise TextError("nothing speakable in the text")
        script = self.engine.script(spoken)
        if script.refusal is not None:
            raise script.refusal
        segment = Segment(self.speaker, spoken, self.voice, sampling or self.sampling)
        self.engine.segments.append(segment)
        self._last = ScriptedUtterance(self, segment, script)
        return self._last

    def listen(
        self, text: str, pcm: npt.NDArray[Any], sample_rate: int = SAMPLE_RATE_HZ, speaker: int = 1
    ) -> ScriptedTurn:
        sound = resample(check_pcm(pcm, sample_rate), sample_rate, SAMPLE_RATE_HZ)
        words = normalize_text(text) if text and is_speakable(text) else ""
        frames = [np.full(CODEBOOKS, 2, np.int32)] * -(-len(sound) // FRAME_SAMPLES)
        self.heard.append((words, sound, speaker))
        self.ledger.append(Entry(speaker, words, _tokens(words, speaker), frames))
        self.ledger.begin_turn()
        return ScriptedTurn()

    def interrupt(self, heard_s: float | None = None) -> None:
        self.interruptions.append(heard_s)
        if self._last is not None:
            self._last.cancel()
        self.ledger.cut_turn(heard_s)

    def configure(
        self,
        *,
        voice: str | VoicePrompt | EllipsisType | None = ...,
        speaker: int | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        if not isinstance(voice, EllipsisType):
            self.voice = self.engine.check_voice(voice)
        self.speaker = self.speaker if speaker is None else speaker
        self.sampling = sampling or self.sampling

    def close(self) -> None:
        self.closed = True
        if self._last is not None:
            self._last.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()


class ScriptedEngine:
    """A stand-in for `Engine`.

    Args:
        script: what happens to the utterance of a text; by default a frame per character, at once.
        voices: names that a conversation may ask for.
        rows: how many utterances may be live, for `stats`.
    """

    sample_rate = SAMPLE_RATE_HZ
    model_name = "scripted"

    def __init__(
        self,
        script: Callable[[str], Script] = lambda text: Script(),
        *,
        voices: Sequence[str] = ("ann", "bob"),
        rows: int = 8,
    ) -> None:
        self.script = script
        self.voices = list(voices)
        self.closed = False
        self.frames_stepped = 0
        self.live: list[ScriptedUtterance] = []
        self.segments: list[Segment] = []
        self.conversations: list[ScriptedConversation] = []
        self._rows = rows

    def conversation(
        self, voice: str | VoicePrompt | None = None, speaker: int = 0, sampling: Sampling | None = None
    ) -> ScriptedConversation:
        if self.closed:
            raise EngineClosedError("closed: load another engine")
        self.conversations.append(ScriptedConversation(self, self.check_voice(voice), speaker, sampling))
        return self.conversations[-1]

    def check_voice(self, voice: str | VoicePrompt | None) -> str | None:
        if isinstance(voice, str) and voice not in self.voices:
            raise VoiceError(f"voice is {voice!r}; this engine has: {', '.join(self.voices)}")
        return voice.name if isinstance(voice, VoicePrompt) else voice

    def stats(self) -> EngineStats:
        open_ones = sum(not talk.closed for talk in self.conversations)
        return EngineStats(len(self.live), self._rows - len(self.live), 0, self.frames_stepped, open_ones)

    def close(self) -> None:
        self.closed = True


def words_of(text: str, seconds: float) -> list[Word]:
    """A text's words, spread evenly over its sound."""
    words, start = [], 0
    for word in text.split(" "):
        end = start + len(word)
        words.append(Word(word, start / len(text) * seconds, end / len(text) * seconds))
        start = end + 1
    return words


def pitch_of(segment: Segment) -> float:
    """The pitch of a segment's tone in Hz: it follows from text, voice, speaker and seed."""
    name = f"{segment.text}|{segment.voice}|{segment.speaker}|{segment.sampling.seed}"
    return 100.0 + zlib.crc32(name.encode()) % 800


def tone(segment: Segment, start_frame: int, frames: int) -> Pcm:
    """The sound of some frames of a segment."""
    moments = (start_frame * FRAME_SAMPLES + np.arange(frames * FRAME_SAMPLES)) / SAMPLE_RATE_HZ
    return (0.5 * np.sin(2 * np.pi * pitch_of(segment) * moments)).astype(np.float32)


def _tokens(text: str, speaker: int) -> npt.NDArray[np.int32]:
    return np.frombuffer(f"[{speaker}]{text}".encode(), np.uint8).astype(np.int32)
