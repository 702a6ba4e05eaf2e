"""Speech in the formats of OpenAI's endpoint, encoded while it is made."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncGenerator
from typing import Any, Literal, Protocol

import av
import numpy as np
import numpy.typing as npt

from csm_plugin.audio import to_int16, wav_header
from csm_plugin.server.formats.av_frames import frame_of
from csm_plugin.settings import SAMPLE_RATE_HZ

Pcm = npt.NDArray[np.float32]
SoundFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

MEDIA_TYPES: dict[SoundFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": f"audio/pcm; rate={SAMPLE_RATE_HZ}; channels=1",
}


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


class ContainerEncoder:
    """A codec in its container, through FFmpeg, set for the shortest delay.

    Args:
        container: FFmpeg's name of the muxer.
        codec: its name of the encoder.
        sample_format: in which the encoder wants samples.
        bit_rate: in bit/s, None for a codec without.
        codec_options: for the encoder.
        container_options: for the muxer.
    """

    def __init__(
        self,
        container: str,
        codec: str,
        sample_format: str,
        bit_rate: int | None,
        codec_options: dict[str, str],
        container_options: dict[str, str],
    ) -> None:
        self._sink = _Sink()
        self._container = av.open(
            self._sink, "w", format=container, options={"flush_packets": "1", **container_options}
        )
        self._stream: Any = self._container.add_stream(codec, rate=SAMPLE_RATE_HZ, layout="mono", options=codec_options)
        context: Any = self._stream.codec_context
        context.format = sample_format
        context.thread_count = 1
        if bit_rate is not None:
            context.bit_rate = bit_rate
        self._samples = 0
        self._closed = False

    def encode(self, pcm: Pcm) -> bytes:
        """See `Encoder`."""
        if len(pcm):
            self._container.mux(self._stream.encode(frame_of(to_int16(pcm), self._samples)))
            self._samples += len(pcm)
        return self._sink.take()

    def finish(self) -> bytes:
        """See `Encoder`."""
        self._container.mux(self._stream.encode(None))
        self.close()
        return self._sink.take()

    def close(self) -> None:
        """See `Encoder`."""
        if not self._closed:
            self._closed = True
            self._container.close()


class _Sink(io.RawIOBase):
    """Collects what a muxer writes; cannot seek, as a response cannot."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


async def encoded(pieces: AsyncGenerator[Pcm, None], form: SoundFormat) -> AsyncGenerator[bytes, None]:
    """Encode sound piece by piece as it comes, and close where it comes from.

    The encoder is made with the first piece: whoever gets none, because there is no room, costs none.
    """
    async with contextlib.aclosing(pieces):
        first = await anext(pieces, None)
        with contextlib.closing(encoder(form)) as sound:
            if first is not None and (data := sound.encode(first)):
                yield data
            async for pcm in pieces:
                if data := sound.encode(pcm):
                    yield data
            if data := sound.finish():
                yield data


def encoder(form: SoundFormat) -> Encoder:
    """Return an encoder of 24 kHz mono sound."""
    match form:
        case "pcm":
            return RawEncoder()
        case "wav":
            return RawEncoder(wav_header(SAMPLE_RATE_HZ))
        case "mp3":
            options = {"reservoir": "0", "compression_level": "7"}
            plain = {"write_xing": "0", "id3v2_version": "0"}
            return ContainerEncoder("mp3", "libmp3lame", "s16p", 64_000, options, plain)
        case "opus":
            options = {"application": "audio", "frame_duration": "20"}
            return ContainerEncoder("ogg", "libopus", "s16", 48_000, options, {"page_duration": "20000"})
        case "aac":
            return ContainerEncoder("adts", "aac", "fltp", 64_000, {}, {})
        case "flac":
            return ContainerEncoder("flac", "flac", "s16", None, {"compression_level": "2"}, {})
