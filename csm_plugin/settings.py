"""What a caller may set about speech."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Literal, get_args

from csm_plugin.errors import InputError, SettingsError

SAMPLE_RATE_HZ = 24_000
"""Of all sound that the engine makes."""

FRAME_SAMPLES = 1_920
"""Samples of a frame, the smallest piece in which speech is made."""

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
"""Seconds of a frame: 0.08."""

TEXT = -1
"""Marks the code columns of a text position, and the token column of a frame, in context positions
(int32 [n, 1 + codebooks])."""

MAX_SPEAKERS = 100
"""Speakers are told apart by numbers below it."""

ALLOWED_DEVICES = "allowed are 'auto', 'cpu', and 'cuda' or 'cuda:N' where there is such a GPU"
"""How messages end that refuse a device."""

VoiceStyle = Literal["context", "continue"]
"""How a voice prompt is used: as a segment before all others, or as the beginning of every utterance."""

VOICE_STYLES: tuple[VoiceStyle, ...] = get_args(VoiceStyle)
"""Every `VoiceStyle`."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How codes are drawn and how much of them is delivered.

    Args:
        temperature: 0 is greedy. Range 0 to 2. None is what the checkpoint's generation config says, else 0.9.
        top_k: how many of the likeliest codes may be drawn, at least 1. None is what the checkpoint says, else 50.
        depth_temperature: of all codebooks but the first, which the depth decoder draws. None is `temperature` where
            that is given, else what the checkpoint says of its depth decoder.
        depth_top_k: the same for `top_k`.
        seed: makes an utterance repeatable. Without one each utterance draws its own.
        max_seconds: upper limit of an utterance's length, in seconds. Without one it follows from the text.
        trim_silence: drop leading and trailing silence. False delivers every generated frame.

    Raises:
        SettingsError: a value is out of range.
    """

    temperature: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_seconds: float | None = None
    trim_silence: bool = True
    depth_temperature: float | None = None
    depth_top_k: int | None = None

    def __post_init__(self) -> None:
        for name in ("temperature", "depth_temperature"):
            value = getattr(self, name)
            if value is not None and (not _is_number(value) or not 0 <= value <= 2):
                raise SettingsError(f"{name} is {value!r}; it must be from 0 (greedy) to 2, or None")
        for name in ("top_k", "depth_top_k"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise SettingsError(f"{name} is {value!r}; it must be a whole number of at least 1, or None")
        if self.seed is not None and (type(self.seed) is not int or not 0 <= self.seed < 2**63):
            raise SettingsError(f"seed is {self.seed!r}; it must be a whole number from 0 to 2**63 - 1, or None")
        if not isinstance(self.trim_silence, bool):
            raise SettingsError(f"trim_silence is {self.trim_silence!r}; it must be True or False")
        if self.max_seconds is not None and (not _is_number(self.max_seconds) or not self.max_seconds > 0):
            raise SettingsError(f"max_seconds is {self.max_seconds!r}; it must be more than 0, or None")


def check_sampling(sampling: object) -> Sampling:
    """Return a `Sampling` as it is.

    Raises:
        SettingsError: it is something else.
    """
    if not isinstance(sampling, Sampling):
        raise SettingsError(f"sampling is of type {type(sampling).__name__}; pass a Sampling(temperature=…, seed=…)")
    return sampling


def check_speaker(speaker: object) -> int:
    """Return a speaker's number as it is.

    Raises:
        InputError: it is no whole number from 0 to 99.
    """
    if type(speaker) is not int or not 0 <= speaker < MAX_SPEAKERS:
        raise InputError(f"speaker is {speaker!r}; it must be a whole number from 0 to {MAX_SPEAKERS - 1}")
    return speaker


def check_device_name(name: str) -> None:
    """Check that a device may have such a name; whether there is one, torch knows.

    Raises:
        SettingsError: it may not.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise SettingsError(f"device is {name!r}; {ALLOWED_DEVICES}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
