"""The formats in which speech is sent, and what HTTP calls them."""

from __future__ import annotations

from typing import Literal

from csm_plugin.settings import SAMPLE_RATE_HZ

SoundFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

MEDIA_TYPES: dict[SoundFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": f"audio/pcm; rate={SAMPLE_RATE_HZ}; channels=1",
}
