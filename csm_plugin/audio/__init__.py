"""Mono sound: checking it, converting it, reading and writing files."""

from __future__ import annotations

from csm_plugin.audio.decimator import Decimator
from csm_plugin.audio.files import SoundWriter, WavStream, WavWriter, read_audio, wav_header, write_wav
from csm_plugin.audio.pcm import (
    MAX_AUDIO_S,
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    check_pcm,
    check_sample_rate,
    resample,
    to_int16,
)

__all__ = [
    "MAX_AUDIO_S",
    "MAX_RATE_HZ",
    "MIN_RATE_HZ",
    "Decimator",
    "SoundWriter",
    "WavStream",
    "WavWriter",
    "check_pcm",
    "check_sample_rate",
    "read_audio",
    "resample",
    "to_int16",
    "wav_header",
    "write_wav",
]
