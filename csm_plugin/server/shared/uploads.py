"""Decoding sound that strangers send: FFmpeg with nothing but the one format, and limits while it decodes."""

from __future__ import annotations

import io
import time

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from csm_plugin.audio.pcm import MAX_PEAK, MAX_RATE_HZ, MIN_RATE_HZ
from csm_plugin.conversation import VoicePrompt
from csm_plugin.conversation.prepared_voice import prepare_voice
from csm_plugin.errors import AudioError
from csm_plugin.server.formats.av_frames import samples_of
from csm_plugin.settings import SAMPLE_RATE_HZ, VoiceStyle

MAX_DECODE_S = 2.0
MAX_CHANNELS = 8
MAX_VOICE_S = 60.0
"""The longest recording of a voice; what is over 30 s is cut off at the end of a sentence."""

MAX_KEPT_HZ = 48_000
"""The highest rate at which channels are kept: a recording is looked at for clipping and noise as it was made."""

FORMATS = {
    "wav": "pcm_s16le,pcm_s24le,pcm_s32le,pcm_u8,pcm_f32le,pcm_f64le,pcm_alaw,pcm_mulaw",
    "flac": "flac",
    "mp3": "mp3,mp3float",
    "ogg": "vorbis,opus,flac",
}
"""The decoders that each format may use."""


def decode_upload(data: bytes, max_seconds: float) -> npt.NDArray[np.float32]:
    """Decode a WAV, FLAC, MP3 or Ogg file. Blocks, for at most `MAX_DECODE_S` of work; safe from any thread.

    Args:
        data: the file.
        max_seconds: longest sound allowed; held while decoding, whatever the file says of itself.

    Returns:
        float32 [samples] in [-1, 1], mono, 24 kHz.

    Raises:
        AudioError: it is none of these, damaged, too long, or of an unusable rate or number of channels.
    """
    sound, _ = _decoded(data, max_seconds, 1, SAMPLE_RATE_HZ)
    return np.clip(sound[:, 0], -1.0, 1.0)


def decode_channels(data: bytes, max_seconds: float) -> tuple[npt.NDArray[np.float32], int]:
    """Decode such a file as it is, but for more than two channels or 48 kHz; else like `decode_upload`.

    Returns:
        float32 [samples, channels], full scale at 1 and not clipped there, and its rate in Hz.
    """
    return _decoded(data, max_seconds, 2, MAX_KEPT_HZ)


def decode_voice(name: str, text: str, data: bytes, style: VoiceStyle | None = None) -> VoicePrompt:
    """Make a voice of an upload, checked and prepared as `csm voices add` does it; else like `decode_upload`.

    Raises:
        AudioError, VoiceError: the file cannot be read, or it and its text make no voice.
    """
    sound, rate = decode_channels(data, MAX_VOICE_S)
    voice = prepare_voice(text, sound, rate)
    return VoicePrompt(name, voice.text, voice.pcm, SAMPLE_RATE_HZ, style)


def _decoded(data: bytes, max_seconds: float, most_channels: int, rate_hz: int) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a file to so many channels at most; to mono at just that rate, and else at most at that rate."""
    form = sniff(data)
    options = {"codec_whitelist": FORMATS[form], "format_whitelist": form, "protocol_whitelist": ""}
    until = time.thread_time() + MAX_DECODE_S  # of work: on a busy machine it may take longer
    pieces: list[npt.NDArray[np.float32]] = []
    samples = 0
    try:
        with av.open(io.BytesIO(data), "r", format=form, options=options) as container:
            if not container.streams.audio:
                raise AudioError("the file has no sound in it; upload a WAV, FLAC, MP3 or Ogg recording")
            stream = container.streams.audio[0]
            codec = stream.codec_context
            codec.thread_count = 1
            _check(codec.sample_rate, codec.channels)
            channels = min(codec.channels, most_channels)
            rate = rate_hz if most_channels == 1 else min(codec.sample_rate, rate_hz)
            resampler = av.AudioResampler(format="flt", layout=("mono", "stereo")[channels - 1], rate=rate)
            for frame in container.decode(stream):
                _check(frame.sample_rate, frame.layout.nb_channels)
                for out in resampler.resample(frame):
                    pieces.append(samples_of(out).reshape(-1, channels))
                    samples += out.samples
                if samples > max_seconds * rate:
                    raise AudioError(f"the recording is longer than {max_seconds:g} s, which is the most: cut it")
                if time.thread_time() > until:
                    raise AudioError(f"the file takes more than {MAX_DECODE_S:g} s to decode; send it as WAV")
            pieces += [samples_of(out).reshape(-1, channels) for out in resampler.resample(None)]
    except (FFmpegError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError(f"the file cannot be decoded as {form} ({type(error).__name__}); it may be damaged") from None
    sound = np.concatenate(pieces) if pieces else np.zeros((0, 1), np.float32)
    if not len(sound):
        raise AudioError("the file holds no sound; it may be damaged or empty")
    if not np.isfinite(sound).all():
        raise AudioError("the recording has samples that are not finite numbers; export it again")
    if (peak := float(np.abs(sound).max())) > MAX_PEAK:
        raise AudioError(
            f"the recording peaks at {peak:.4g}; float samples must lie in [-1, 1]: export it as 16-bit, or divided by "
            "32,768"
        )
    return sound, rate


def sniff(data: bytes) -> str:
    """Return the format of a file by its first bytes.

    Raises:
        AudioError: it is none that is taken.
    """
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"fLaC":
        return "flac"
    if data[:4] == b"OggS":
        return "ogg"
    if data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0):
        return "mp3"
    raise AudioError("the file is none of WAV, FLAC, MP3 and Ogg; convert it to one of them")


def _check(rate: int, channels: int) -> None:
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ or not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(
            f"the recording has {channels} channels at {rate:,} Hz; up to {MAX_CHANNELS} channels from {MIN_RATE_HZ:,} "
            f"to {MAX_RATE_HZ:,} Hz can be used"
        )
