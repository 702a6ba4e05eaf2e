"""The one interface of a speech engine: what `Engine`, `RemoteEngine` and every stand-in for them keep.

Adapters take a `SpeechEngine` and know nothing of where it runs. `tests/contract` holds all of them to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

from csm_plugin.errors import EngineBusyError
from csm_plugin.settings import Sampling

if TYPE_CHECKING:
    from csm_plugin.conversation import Segment, SpeechChunk, VoicePrompt


MAX_WAITING = 64
"""Utterances and turns that one conversation may have waiting."""


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What an engine is doing.

    Args:
        live_rows: rows that speak.
        free_rows: rows that could speak.
        queued: conversations that wait for a row.
        frames_stepped: frames made since the start, over all rows.
        conversations: open conversations.
    """

    live_rows: int
    free_rows: int
    queued: int
    frames_stepped: int
    conversations: int


class SpeechUtterance(Protocol):
    """Speech that is being made; iterate over it once. Safe from any thread."""

    text: str
    """What is spoken, as the model reads it."""

    @property
    def finish_reason(self) -> str | None:
        """How it ended: "end", "length", "cancelled" or "error"; None while it is being made."""

    def cancel(self) -> None:
        """Stop making it; never blocks."""

    def __aiter__(self) -> AsyncIterator[SpeechChunk]: ...


class SpeechConversation(Protocol):
    """What is said between a voice and its listeners. Nothing here blocks."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the context holds, oldest first."""

    def speak(self, text: str, sampling: Sampling | None = None, normalize: bool = True) -> SpeechUtterance:
        """Say something after everything that is being said.

        Raises:
            TextError: the text cannot be spoken.
            EngineBusyError: there is no place for it.
            EngineClosedError: engine or conversation were closed.
        """

    def listen(self, text: str, pcm: npt.NDArray[Any], sample_rate: int = ..., speaker: int = 1) -> Awaitable[object]:
        """Add the other side's turn to the context, after what is being said; await it to be sure that it is there."""

    def interrupt(self, heard_s: float | None = None) -> None:
        """Stop speaking and keep only what was heard of the current turn.

        Args:
            heard_s: seconds of the turn's sound, from its first frame; None for all that was taken.
        """

    def configure(
        self,
        *,
        voice: str | VoicePrompt | EllipsisType | None = ...,
        speaker: int | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        """Change how it speaks from the next `speak` on."""

    def close(self) -> None:
        """Stop speaking and free the row."""


class SpeechEngine(Protocol):
    """An engine, in this process or behind a socket. Every method is safe from any thread."""

    @property
    def voices(self) -> Sequence[str]:
        """Names of the voices that a conversation may ask for."""

    @property
    def model_name(self) -> str:
        """Name of the loaded model."""

    def conversation(
        self, voice: str | VoicePrompt | None = None, speaker: int = 0, sampling: Sampling | None = None
    ) -> SpeechConversation:
        """Open a conversation; it takes a row only while it speaks.

        Raises:
            VoiceError, InputError: there is no such voice or speaker.
            EngineClosedError: the engine was closed.
        """

    def stats(self) -> EngineStats:
        """Return what it is doing."""

    def close(self) -> None:
        """Stop: what is being spoken ends with EngineClosedError."""


def check_waiting(count: int) -> None:
    """Make sure that a conversation may have one more utterance or turn waiting.

    Raises:
        EngineBusyError: as many wait as may.
    """
    if count >= MAX_WAITING:
        raise EngineBusyError(
            f"{MAX_WAITING} utterances of this conversation are waiting; take their sound or interrupt() it", 1.0
        )
