"""Speech in the formats of OpenAI's endpoint, encoded while it is made.

An encoder needs sound from before the first sample, and gives as much more in return. MP3 can tell that only together
with its length, ADTS cannot at all; so where the length is not known yet, the packets that hold nothing else are not
sent. At 48 kHz what remains is less than 25 ms, whoever decodes it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt

from csm_plugin.audio import to_int16, wav_header
from csm_plugin.server.formats.av_frames import frame_of
from csm_plugin.server.formats.names import SoundFormat
from csm_plugin.server.formats.sinks import File, Pipe
from csm_plugin.settings import SAMPLE_RATE_HZ

Pcm = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec in its container, by FFmpeg's names, set for the shortest delay.

    Args:
        container: the muxer.
        encoder: the encoder.
        sample_format: in which it wants samples.
        rate: in Hz.
        bit_rate: in bit/s, None for a codec without.
        options: for the encoder.
        muxing: for the muxer, where sound is sent while it is made.
        finishing: for the muxer, where the file is finished before it is sent.
        unsent: packets at the start that are not sent while sound is made.
        silence: samples at 24 kHz that are put in front there, so that no packet of sound is among those.
    """

    container: str
    encoder: str
    sample_format: str
    rate: int = SAMPLE_RATE_HZ
    bit_rate: int | None = None
    options: dict[str, str] = field(default_factory=dict)
    muxing: dict[str, str] = field(default_factory=dict)
    finishing: dict[str, str] = field(default_factory=dict)
    unsent: int = 0
    silence: int = 0


CODECS: dict[SoundFormat, Codec] = {
    "mp3": Codec(
        "mp3", "libmp3lame", "s16p", 48_000, 64_000, {"reservoir": "0", "compression_level": "7"},
        {"write_xing": "0", "id3v2_version": "0"}, {"id3v2_version": "0"}, unsent=1, silence=24,
    ),
    "opus": Codec(
        "ogg", "libopus", "s16", bit_rate=48_000, options={"application": "audio", "frame_duration": "20"},
        muxing={"page_duration": "20000"},
    ),
    "aac": Codec("adts", "aac", "fltp", 48_000, 64_000, unsent=1),
    "flac": Codec("flac", "flac", "s16", options={"compression_level": "2"}),
}  # fmt: skip


class Encoder(Protocol):
    """Turns sound into bytes, a piece at a time. For one thread."""

    def encode(self, pcm: Pcm) -> bytes:
        """Take float32 [samples] in [-1, 1] in; return what can be sent, maybe nothing yet."""

    def finish(self) -> bytes:
        """Return the rest; nothing may be encoded after that."""

    def close(self) -> None:
        """Free what it holds; again is harmless."""


class RawEncoder:
    """16-bit samples, little-endian; for WAV behind a header of unknown length."""

    def __init__(self, header: bytes = b"") -> None:
        self._header = header

    def encode(self, pcm: Pcm) -> bytes:
        """See `Encoder`."""
        header, self._header = self._header, b""
        return header + to_int16(pcm).astype("<i2").tobytes()

    def finish(self) -> bytes:
        """See `Encoder`."""
        return b""

    def close(self) -> None:
        """See `Encoder`."""


class WavEncoder:
    """A finished WAV file, whose header tells its length."""

    def __init__(self) -> None:
        self._data = bytearray()

    def encode(self, pcm: Pcm) -> bytes:
        """See `Encoder`."""
        self._data += to_int16(pcm).astype("<i2").tobytes()
        return b""

    def finish(self) -> bytes:
        """See `Encoder`."""
        return wav_header(SAMPLE_RATE_HZ, len(self._data) // 2) + self._data

    def close(self) -> None:
        """See `Encoder`."""


class ContainerEncoder:
    """A codec in its container, through FFmpeg.

    Args:
        codec: which.
        finished: give nothing before the end, and then a file that tells its own length.
    """

    def __init__(self, codec: Codec, *, finished: bool = False) -> None:
        self._sink: Pipe | File = File() if finished else Pipe()
        muxing = codec.finishing if finished else codec.muxing
        self._container = av.open(self._sink, "w", format=codec.container, options={"flush_packets": "1", **muxing})
        self._stream: Any = self._container.add_stream(
            codec.encoder, rate=codec.rate, layout="mono", options=codec.options
        )
        context: Any = self._stream.codec_context
        context.format = codec.sample_format
        context.thread_count = 1
        if codec.bit_rate is not None:
            context.bit_rate = codec.bit_rate
        whole = finished and codec.container != "adts"  # which cannot tell how much of it is no sound
        self._unsent = 0 if whole else codec.unsent
        self._silence = 0 if whole else codec.silence
        self._samples = 0
        self._closed = False

    def encode(self, pcm: Pcm) -> bytes:
        """See `Encoder`."""
        if len(pcm):
            if self._silence:
                pcm = np.concatenate((np.zeros(self._silence, np.float32), pcm))
                self._silence = 0
            self._mux(frame_of(to_int16(pcm), self._samples))
            self._samples += len(pcm)
        return self._sink.take()

    def finish(self) -> bytes:
        """See `Encoder`."""
        self._mux(None)
        self.close()
        return self._sink.rest()

    def close(self) -> None:
        """See `Encoder`."""
        if not self._closed:
            self._closed = True
            self._container.close()

    def _mux(self, frame: av.AudioFrame | None) -> None:
        packets = self._stream.encode(frame)
        self._container.mux(packets[self._unsent :])
        self._unsent = max(0, self._unsent - len(packets))


async def encoded(
    pieces: AsyncGenerator[Pcm, None], form: SoundFormat, *, finished: bool = False
) -> AsyncGenerator[bytes, None]:
    """Encode sound piece by piece as it comes, and close where it comes from.

    The encoder is made with the first piece: whoever gets none, because there is no room, costs none.

    Args:
        finished: give all of it at the end, in a file that tells its own length.
    """
    async with contextlib.aclosing(pieces):
        first = await anext(pieces, None)
        with contextlib.closing(encoder(form, finished=finished)) as sound:
            if first is not None and (data := sound.encode(first)):
                yield data
            async for pcm in pieces:
                if data := sound.encode(pcm):
                    yield data
            if data := sound.finish():
                yield data


def encoder(form: SoundFormat, *, finished: bool = False) -> Encoder:
    """Return an encoder of 24 kHz mono sound.

    Args:
        finished: give nothing before the end, and then a file that tells its own length.
    """
    if form == "pcm":
        return RawEncoder()
    if form == "wav":
        return WavEncoder() if finished else RawEncoder(wav_header(SAMPLE_RATE_HZ))
    return ContainerEncoder(CODECS[form], finished=finished)


def sound_file(pcm: Pcm, form: SoundFormat) -> bytes:
    """Return a finished file of float32 [samples] at 24 kHz."""
    with contextlib.closing(encoder(form, finished=True)) as sound:
        return sound.encode(pcm) + sound.finish()
