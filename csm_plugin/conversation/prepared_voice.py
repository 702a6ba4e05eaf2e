"""From a recording and its text to what a voice prompt is made of: both prepared, and cut to what can be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from csm_plugin.audio.files import read_channels
from csm_plugin.audio.pcm import Pcm
from csm_plugin.audio.recording import prepare
from csm_plugin.conversation.transcript import check_pace, cut, usual_s
from csm_plugin.errors import AudioError, TextError, VoiceError
from csm_plugin.settings import SAMPLE_RATE_HZ
from csm_plugin.text.normalize import normalize

MAX_PROMPT_S: Final = 30.0
MAX_RECORDING_S: Final = 300.0
"""The longest that is cut to `MAX_PROMPT_S`."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedVoice:
    """What a voice prompt is made of, and what was found and done.

    Args:
        text: normalised.
        pcm: float32 [samples], mono, 24 kHz, at most 30 s.
        given_s: how long the recording was.
        level_db: of its speech, in dBFS, before it was levelled.
        gain_db: by how much it was levelled.
        snr_db: how far its noise lies below its speech.
        clipped: share of its samples.
        pace: how much longer it speaks than its text takes at an ordinary pace.
        is_cut: whether recording and text were cut.
    """

    text: str = field(repr=False)
    pcm: Pcm = field(repr=False)
    given_s: float
    level_db: float
    gain_db: float
    snr_db: float
    clipped: float
    pace: float
    is_cut: bool

    @property
    def seconds(self) -> float:
        """How long it is now."""
        return len(self.pcm) / SAMPLE_RATE_HZ


def prepare_voice(
    text: str, sound: npt.NDArray[np.float32], sample_rate: int, *, any_text: bool = False
) -> PreparedVoice:
    """Make a voice of a recording. Blocks; safe from any thread.

    Args:
        text: what is said in all of it.
        sound: float32 [samples] or [samples, channels] in [-1, 1].
        sample_rate: in Hz.
        any_text: take a text that is far too short or too long for the recording.

    Raises:
        VoiceError: the recording is silent, clipped, noisy, too short or too long, the text has no words or cannot be
            what is said, or both are longer than 30 s and cannot be cut at one place.
    """
    try:
        spoken = normalize(text)
        recording = prepare(sound, sample_rate, max_seconds=MAX_RECORDING_S)
        pace = recording.speech_s / max(usual_s(spoken), 1e-3) if any_text else check_pace(spoken, recording)
        is_cut = recording.seconds > MAX_PROMPT_S
        if is_cut:
            spoken, recording = cut(spoken, recording, MAX_PROMPT_S)
    except (AudioError, TextError) as error:
        raise VoiceError(str(error)) from error
    return PreparedVoice(
        text=spoken,
        pcm=recording.levelled(),
        given_s=len(sound) / sample_rate,
        level_db=recording.level_db,
        gain_db=recording.gain_db,
        snr_db=recording.snr_db,
        clipped=recording.clipped,
        pace=pace,
        is_cut=is_cut,
    )


def prepare_file(path: str | Path, text: str, *, any_text: bool = False) -> PreparedVoice:
    """Make a voice of a sound file (WAV, FLAC, Ogg, MP3); like `prepare_voice`.

    Raises:
        VoiceError: also if the file cannot be read.
    """
    try:
        sound, rate = read_channels(path, max_seconds=MAX_RECORDING_S)
    except AudioError as error:
        raise VoiceError(str(error)) from error
    return prepare_voice(text, sound, rate, any_text=any_text)
