"""What the plugin needs of an engine, in this process or behind a socket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

from csm_plugin.settings import Sampling

if TYPE_CHECKING:
    from csm_plugin.conversation import Segment
    from csm_plugin.engine import Utterance


class Talk(Protocol):
    """What is needed of a conversation; see `csm_plugin.engine.Conversation`."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the context holds, oldest first."""

    def speak(self, text: str, sampling: Sampling | None = None, normalize: bool = True) -> Utterance:
        """Say something after everything that is being said."""

    def listen(self, text: str, pcm: npt.NDArray[Any], sample_rate: int = ..., speaker: int = 1) -> object:
        """Add the other side's turn to the context."""

    def interrupt(self, heard_s: float | None = None) -> None:
        """Stop speaking and keep only what was heard of the current turn."""

    def configure(
        self, *, voice: str | None = None, speaker: int | None = None, sampling: Sampling | None = None
    ) -> None:
        """Change how it speaks."""

    def close(self) -> None:
        """Stop speaking and free the row."""


class SpeechEngine(Protocol):
    """What is needed of an engine, in this process or behind a socket."""

    @property
    def voices(self) -> Sequence[str]:
        """Names of the voices that a conversation may ask for."""

    @property
    def model_name(self) -> str:
        """Name of the loaded model."""

    def conversation(self, voice: str | None = None, speaker: int = 0, sampling: Sampling | None = None) -> Talk:
        """Open a conversation; it costs nothing until it speaks."""

    def stats(self) -> Any:
        """What the engine is doing: `live_rows`, `free_rows`, `queued`."""

    def close(self) -> None:
        """Stop serving."""
