"""An engine for the command line's tests: a frame of a tone per word, at once, with faults where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from csm_plugin.errors import VoiceError
from csm_plugin.settings import FRAME_SAMPLES, Sampling


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stand-in for `SpeechChunk`."""

    pcm: np.ndarray


class Utterance:
    """A stand-in for `Utterance`; `fault` is raised after its first frame."""

    def __init__(self, text: str, fault: BaseException | None, finish_reason: str) -> None:
        self.finish_reason: str | None = None
        self._frames = len(text.split())
        self._fault = fault
        self._end = finish_reason

    def __iter__(self) -> Iterator[Chunk]:
        for number in range(self._frames):
            if self._fault is not None and number == 1:
                raise self._fault
            yield Chunk(np.full(FRAME_SAMPLES, 0.25, np.float32))
        self.finish_reason = self._end


@dataclass(slots=True)
class Engine:
    """A stand-in for `Engine` and for its conversations."""

    fault: Callable[[str], BaseException | None] = lambda text: None
    finish_reason: str = "end"
    voices: list[str] = field(default_factory=lambda: ["ann"])
    texts: list[str] = field(default_factory=list)
    asked: dict[str, object] = field(default_factory=dict)
    device: str = "cpu"
    model_name: str = "stand-in"
    closed: bool = False

    def conversation(self, voice: str | None = None, speaker: int = 0, sampling: Sampling | None = None) -> Engine:
        if voice is not None and voice not in self.voices:
            raise VoiceError(f"voice is {voice!r}; this engine has: {', '.join(self.voices)}")
        self.asked |= {"voice": voice, "speaker": speaker, "sampling": sampling}
        return self

    def speak(self, text: str) -> Utterance:
        self.texts.append(text)
        return Utterance(text, self.fault(text), self.finish_reason)

    def synthesize(self, text: str, sampling: Sampling | None = None) -> np.ndarray:
        return np.concatenate([chunk.pcm for chunk in self.speak(text)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *trouble: object) -> None:
        self.closed = True
