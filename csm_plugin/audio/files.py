"""Sound files, by libsndfile: any format it knows in, 16-bit WAV out."""

from __future__ import annotations

import importlib
import io
import os
import struct
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import soundfile
from loguru import logger

from csm_plugin.audio.pcm import MAX_AUDIO_S, Pcm, check_pcm, check_sample_rate, to_int16
from csm_plugin.errors import AudioError

FORMATS = {
    "": ("WAV", "PCM_16"),
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
"""What is written under a name that ends so: libsndfile's format and subtype."""
fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None

_UNKNOWN_BYTES = 0xFFFF_FFFF
_UNKNOWN_FRAMES = 2**62
_BLOCK = 65_536


def read_audio(path: str | Path, *, max_seconds: float = MAX_AUDIO_S) -> tuple[Pcm, int]:
    """Read a sound file (WAV, FLAC, Ogg, MP3, …). Blocks; safe from any thread.

    Args:
        path: a file. More than one channel is mixed down to their mean.
        max_seconds: the longest recording allowed; checked before the samples are read.

    Returns:
        float32 [samples] in [-1, 1], and the file's sample rate in Hz.

    Raises:
        AudioError: there is no such file, it is not sound or is damaged, or it is too long or of an unusable rate.
    """
    channels, rate = read_channels(path, max_seconds=max_seconds)
    if channels.shape[1] > 1:
        logger.debug("mixing down to mono", file=str(path), channels=channels.shape[1])
    return check_pcm(channels.mean(axis=1), rate, max_seconds=max_seconds), rate


def read_channels(path: str | Path, *, max_seconds: float = MAX_AUDIO_S) -> tuple[npt.NDArray[np.float32], int]:
    """Read a sound file as it is: float32 [samples, channels], full scale at 1, and its rate; like `read_audio`."""
    source = Path(path)
    if not source.is_file():
        raise AudioError(f"there is no file {source}; give the path of a sound file (WAV, FLAC, Ogg or MP3)")
    try:
        with _OneWay(source) as sound:
            rate = check_sample_rate(sound.samplerate)
            frames = sound.frames if sound.frames < _UNKNOWN_FRAMES else 0
            seconds = frames / rate
            if seconds > max_seconds:
                raise AudioError(f"{source} is {seconds:.1f} s long; at most {max_seconds:g} s are allowed: cut it")
            channels = _read_on(sound, round(max_seconds * rate))
            if len(channels) > max_seconds * rate:
                raise AudioError(f"{source} is longer than {max_seconds:g} s, which is the most: cut it")
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(
            f"{source} cannot be read as sound ({error}); it must be an undamaged WAV, FLAC, Ogg or MP3 file"
        ) from error
    return channels, rate


class _OneWay(soundfile.SoundFile):
    """A file that is read from its start to its end. Of a FLAC file that does not tell its length, as one has that was
    sent while it was made, libsndfile cannot find the end by itself."""

    def seekable(self) -> bool:
        """No."""
        return False


def _read_on(sound: _OneWay, most: int) -> npt.NDArray[np.float32]:
    """Read a file to its end, or until more than `most` frames are read; [samples, channels]."""
    blocks = [np.zeros((0, sound.channels), np.float32)]
    read = 0
    while read <= most:
        block = sound.read(_BLOCK, dtype="float32", always_2d=True)
        if not len(block):
            break
        blocks.append(block)
        read += len(block)
    return np.concatenate(blocks)


class SoundWriter:
    """A mono sound file that grows as sound is made, and appears under its name when it is closed.

    The name says what it is: 16-bit WAV, or one of the other `FORMATS`.

    Leaving the `with` block keeps what was written, also after an error or Ctrl-C; with nothing written there is no
    file. For one thread.

    Args:
        path: the file to write; an existing one is replaced at the end.
        sample_rate: in Hz.

    Attributes:
        path: the file to write.
        samples: how many were written.

    Raises:
        AudioError: the file cannot be written there, its name ends in none of `FORMATS`, or the rate is out of range.
    """

    def __init__(self, path: str | Path, sample_rate: int) -> None:
        self.path = Path(path)
        self.samples = 0
        self._rate = check_sample_rate(sample_rate)
        if not self.path.name or (self.path.exists() and not self.path.is_file()):
            kind = "a folder" if self.path.is_dir() else "no file"
            raise AudioError(f"{self.path} is {kind}; give the name of the sound file to write")
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._file = self._open(*self._format())

    @property
    def seconds(self) -> float:
        """How much sound was written."""
        return self.samples / self._rate

    def write(self, pcm: Pcm | npt.NDArray[np.int16]) -> None:
        """Append sound: float32 [samples] in [-1, 1], or int16 [samples].

        Raises:
            AudioError: the disk is full or gone.
        """
        samples = pcm if pcm.dtype == np.int16 else to_int16(pcm.astype(np.float32, copy=False))
        try:
            self._file.write(samples)
        except (soundfile.LibsndfileError, OSError) as error:
            raise AudioError(f"cannot write {self.path} ({_reason(error)}); is the disk full?") from error
        self.samples += len(samples)

    def close(self) -> None:
        """Finish the file and give it its name; again is harmless."""
        if self._file.closed:
            return
        self._file.close()
        try:
            if self.samples:
                self._part.replace(self.path)
        except OSError as error:
            raise AudioError(f"cannot write {self.path} ({_reason(error)}); give another name") from error
        finally:
            self._part.unlink(missing_ok=True)

    def _format(self) -> tuple[str, str]:
        """Return libsndfile's format and subtype."""
        suffix = self.path.suffix.lower()
        if suffix not in FORMATS:
            raise AudioError(f"{self.path} ends in {suffix}; sound is written as {', '.join(filter(None, FORMATS))}")
        return FORMATS[suffix]

    def _open(self, form: str, subtype: str) -> Any:
        try:
            self._part.touch()  # the system's reason, where libsndfile knows none
            return soundfile.SoundFile(self._part, "w", samplerate=self._rate, channels=1, subtype=subtype, format=form)
        except (soundfile.LibsndfileError, OSError) as error:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)
            allowed = "give a name in a folder that exists and can be written to"
            raise AudioError(f"cannot write {self.path} ({_reason(error)}); {allowed}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WavStream:
    """A 16-bit mono WAV file down a stream, whose header first says that its length is not known.

    Leaving the `with` block tells the header the length, if the stream can be gone back in. For one thread.

    Args:
        stream: such as standard output, which may be a pipe or a file.
        sample_rate: in Hz.
    """

    def __init__(self, stream: BinaryIO, sample_rate: int) -> None:
        self._stream = stream
        self._rate = check_sample_rate(sample_rate)
        self._samples = 0
        self._start = _place_in(stream)
        stream.write(wav_header(self._rate))

    def write(self, pcm: Pcm) -> None:
        """Send sound on at once: float32 [samples] in [-1, 1]."""
        self._stream.write(to_int16(pcm).astype("<i2").tobytes())
        self._stream.flush()
        self._samples += len(pcm)

    def close(self) -> None:
        """Finish the header; again is harmless."""
        header = wav_header(self._rate, self._samples)
        if self._start is not None and header != wav_header(self._rate):
            end = self._stream.tell()
            self._stream.seek(self._start)
            self._stream.write(header)
            self._stream.seek(end)
            self._stream.flush()
        self._start = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _place_in(stream: BinaryIO) -> int | None:
    """Return where a stream is; None where it cannot be gone back to and written over."""
    if not stream.seekable() or _appends(stream):
        return None
    return stream.tell()


def _appends(stream: BinaryIO) -> bool:
    """Whether all that is written to a stream goes to the end, wherever it is."""
    try:
        return fcntl is not None and bool(fcntl.fcntl(stream.fileno(), fcntl.F_GETFL) & os.O_APPEND)
    except io.UnsupportedOperation:  # it is in memory
        return False


def write_wav(path: str | Path, pcm: Pcm | npt.NDArray[np.int16], sample_rate: int) -> None:
    """Write a whole recording as a 16-bit mono WAV file, under a temporary name until it is complete.

    Args:
        pcm: float32 [samples] in [-1, 1], or int16 [samples].
        sample_rate: in Hz.

    Raises:
        AudioError: not such an array, or the file cannot be written there.
    """
    check_pcm(pcm, sample_rate, max_seconds=float("inf"))
    with WavWriter(path, sample_rate) as wav:
        wav.write(pcm)


def wav_header(sample_rate: int, samples: int | None = None) -> bytes:
    """Give the 44 bytes before 16-bit mono samples.

    Without `samples` it is of a stream whose end is not known, and so it is where they are more than a WAV can tell.
    """
    told = samples is not None and samples * 2 + 36 < _UNKNOWN_BYTES
    data_bytes = (samples or 0) * 2 if told else _UNKNOWN_BYTES
    riff_bytes = data_bytes + 36 if told else _UNKNOWN_BYTES
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + form + struct.pack("<4sI", b"data", data_bytes)


class WavWriter(SoundWriter):
    """The same, 16-bit WAV whatever its name is."""

    def _format(self) -> tuple[str, str]:
        return FORMATS[""]


def _reason(error: soundfile.LibsndfileError | OSError) -> str:
    """Return why a file could not be written, without the temporary name that it has until it is complete."""
    told = error.strerror if isinstance(error, OSError) else error.error_string
    return str(told or type(error).__name__).rstrip(".")
