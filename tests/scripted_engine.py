"""An engine without a model: every utterance is a tone, with delays and faults as scripted.

It keeps the engine's interface, so that what a service does on a fault or at a certain moment can be tested exactly.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from csm_plugin.errors import EngineClosedError, TextError, VoiceError
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling
from csm_plugin.text.normalize import is_speakable

CODEBOOKS = 8
Pcm = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Script:
    """What happens to one utterance.

    Args:
        frames: how many frames of 80 ms it has; None is one per character of its text.
        frames_per_chunk: how many frames come in one chunk.
        frame_delay_s: how long each chunk takes to make, in seconds.
        refusal: what `speak` raises instead of starting.
        fault: what the iteration raises after `fault_after` chunks.
        fault_after: chunks before the fault.
        finish_reason: what the utterance ends with.
    """

    frames: int | None = None
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
    codes: npt.NDArray[np.int64]
    start_s: float
    words: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """A stand-in for the engine's statistics."""

    live_rows: int
    free_rows: int
    queued: int
    frames_stepped: int


@dataclass(slots=True)
class Segment:
    """What was said, and how."""

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

    def __init__(self, engine: ScriptedEngine, segment: Segment, script: Script) -> None:
        self.finish_reason: str | None = None
        self._engine = engine
        self._segment = segment
        self._script = script
        engine.live.append(self)

    def cancel(self) -> None:
        self._finish("cancelled")

    async def __aiter__(self) -> AsyncIterator[ScriptedChunk]:
        script = self._script
        count = len(self._segment.text) if script.frames is None else script.frames
        for start in range(0, count, script.frames_per_chunk):
            if script.fault is not None and start >= script.fault_after * script.frames_per_chunk:
                self._finish("error")
                raise script.fault
            await asyncio.sleep(script.frame_delay_s)
            if self.finish_reason is not None:
                return
            frames = min(script.frames_per_chunk, count - start)
            self._engine.frames_stepped += frames
            chunk = ScriptedChunk(
                pcm=tone(self._segment, start, frames),
                codes=np.zeros((frames, CODEBOOKS), np.int64),
                start_s=start * FRAME_S,
            )
            self._segment.chunks.append(chunk)
            yield chunk
        self._finish(script.finish_reason)

    def _finish(self, reason: str) -> None:
        """The first reason stays."""
        if self.finish_reason is None:
            self.finish_reason = reason
            self._engine.live.remove(self)


class ScriptedConversation:
    """A stand-in for `Conversation`."""

    def __init__(self, engine: ScriptedEngine, voice: str | None, speaker: int, sampling: Sampling | None) -> None:
        self.closed = False
        self.interruptions: list[float | None] = []
        self.voice, self.speaker, self.sampling = voice, speaker, sampling or Sampling()
        self._engine = engine
        self._segments: list[Segment] = []
        self._last: ScriptedUtterance | None = None

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(self._segments)

    def speak(self, text: str, sampling: Sampling | None = None, normalize: bool = True) -> ScriptedUtterance:
        if self.closed or self._engine.closed:
            raise EngineClosedError("closed: open another conversation")
        if not is_speakable(text):
            raise TextError("nothing speakable in the text")
        script = self._engine.script(text)
        if script.refusal is not None:
            raise script.refusal
        segment = Segment(self.speaker, text, self.voice, sampling or self.sampling)
        self._segments.append(segment)
        self._engine.segments.append(segment)
        self._last = ScriptedUtterance(self._engine, segment, script)
        return self._last

    async def listen(self, text: str, pcm: Pcm, sample_rate: int = SAMPLE_RATE_HZ, speaker: int = 1) -> None:
        heard = ScriptedChunk(pcm, np.zeros((0, CODEBOOKS), np.int64), 0.0)
        self._segments.append(Segment(speaker, text, None, self.sampling, [heard]))

    def interrupt(self, heard_s: float | None = None) -> None:
        self.interruptions.append(heard_s)
        if self._last is not None:
            self._last.cancel()

    def configure(self, voice: str | None = None, speaker: int | None = None, sampling: Sampling | None = None) -> None:
        self.voice = voice
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
        self, voice: str | None = None, speaker: int = 0, sampling: Sampling | None = None
    ) -> ScriptedConversation:
        if voice is not None and voice not in self.voices:
            raise VoiceError(f"voice is {voice!r}; this engine has: {', '.join(self.voices)}")
        self.conversations.append(ScriptedConversation(self, voice, speaker, sampling))
        return self.conversations[-1]

    def stats(self) -> Stats:
        return Stats(len(self.live), self._rows - len(self.live), 0, self.frames_stepped)

    def close(self) -> None:
        self.closed = True


def pitch_of(segment: Segment) -> float:
    """The pitch of a segment's tone in Hz: it follows from text, voice, speaker and seed."""
    name = f"{segment.text}|{segment.voice}|{segment.speaker}|{segment.sampling.seed}"
    return 100.0 + zlib.crc32(name.encode()) % 800


def tone(segment: Segment, start_frame: int, frames: int) -> Pcm:
    """The sound of some frames of a segment."""
    moments = (start_frame * FRAME_SAMPLES + np.arange(frames * FRAME_SAMPLES)) / SAMPLE_RATE_HZ
    return (0.5 * np.sin(2 * np.pi * pitch_of(segment) * moments)).astype(np.float32)
