"""What a TTS may be told about how to speak; copied into each stream, so that a change never meets a running one."""

from __future__ import annotations

from dataclasses import dataclass, field

from csm_plugin.errors import SettingsError
from csm_plugin.settings import Sampling

MAX_SPEAKER = 99
MAX_AHEAD_S = 10.0


@dataclass(frozen=True, slots=True)
class TTSOptions:
    """How a TTS speaks.

    Args:
        voice: the name of one of the engine's voices, or None for whatever voice the model picks.
        speaker: the number under which it speaks, 0 to 99.
        sampling: how codes are drawn.
        normalize: write numbers, signs and abbreviations out before they are spoken; the rules are for English.
        max_ahead_s: how far a stream may run ahead of playing, in seconds: what an interruption wastes at most.

    Raises:
        SettingsError: a value is out of range.
    """

    voice: str | None = None
    speaker: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    normalize: bool = True
    max_ahead_s: float = MAX_AHEAD_S

    def __post_init__(self) -> None:
        if self.voice is not None and not isinstance(self.voice, str):
            raise SettingsError(f"voice is of type {type(self.voice).__name__}; pass a voice's name, or None")
        check_speaker("speaker", self.speaker)
        if not isinstance(self.normalize, bool):
            raise SettingsError(f"normalize is {self.normalize!r}; it must be True or False")
        if not isinstance(self.max_ahead_s, int | float) or not self.max_ahead_s > 0:
            raise SettingsError(f"max_ahead_s is {self.max_ahead_s!r}; it must be a number of seconds above 0")


def check_speaker(name: str, number: object) -> None:
    """Raise SettingsError if a speaker's number is no whole number from 0 to 99."""
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MAX_SPEAKER:
        raise SettingsError(f"{name} is {number!r}; it must be a whole number from 0 to {MAX_SPEAKER}")
