"""Where speech goes while it is made: a file, standard output, the loudspeaker.

Each is a context manager that gives a function to write float32 [samples] in [-1, 1] with. Leaving it finishes the
output, after an error too.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from csm_plugin.audio import SoundWriter, WavStream, to_int16
from csm_plugin.errors import SettingsError

Pcm = npt.NDArray[np.float32]
Write = Callable[[Pcm], None]

PLAYERS = {
    "aplay": "-q -t raw -f S16_LE -c 1 -r {rate} -",
    "pacat": "--playback --format=s16le --channels=1 --rate={rate}",
    "play": "-q -t raw -e signed -b 16 -c 1 -r {rate} -",
    "ffplay": "-nodisp -autoexit -loglevel error -f s16le -ar {rate} -i -",
}
"""Programs that play raw samples from their standard input, and how each is told to."""


@contextmanager
def sound_file(path: str | Path, sample_rate: int) -> Iterator[Write]:
    """A file, in the format that its name says, that appears when it is finished; with nothing written there is none.

    Raises:
        AudioError: it cannot be written there, or in that format.
    """
    with SoundWriter(path, sample_rate) as sound:
        yield sound.write


@contextmanager
def wav_stream(stream: BinaryIO, sample_rate: int) -> Iterator[Write]:
    """A WAV file down a pipe: its header does not know its length, unless the output is a file."""
    with WavStream(stream, sample_rate) as wav:
        yield wav.write


def loudspeaker(sample_rate: int) -> AbstractContextManager[Write]:
    """The loudspeaker, by sounddevice if it is installed and finds a device, else by a program. It waits until all was
    heard, or falls silent at once if it is left by an exception.

    Raises:
        SettingsError: there is neither.
    """
    device = _open_device(sample_rate)
    if device is not None:
        return _device_player(device)
    for program, arguments in PLAYERS.items():
        if found := shutil.which(program):
            return _program_player([found, *arguments.format(rate=sample_rate).split()])
    raise SettingsError(
        f"nothing here can play sound: install sounddevice (pip install sounddevice) or one of {', '.join(PLAYERS)} "
        "(aplay is in alsa-utils), or write a file with -o FILE"
    )


def can_play(sample_rate: int) -> bool:
    """Whether `loudspeaker` finds a way to play."""
    device = _open_device(sample_rate)
    if device is None:
        return any(map(shutil.which, PLAYERS))
    device.close()
    return True


def _open_device(sample_rate: int) -> Any:
    """Open sounddevice's default output; None without the package, its library, or a device."""
    try:
        sounddevice = importlib.import_module("sounddevice")
    except (ImportError, OSError):
        return None
    try:
        return sounddevice.OutputStream(samplerate=sample_rate, channels=1, dtype="float32")
    except sounddevice.PortAudioError:
        return None


@contextmanager
def _device_player(device: Any) -> Iterator[Write]:
    sounddevice = importlib.import_module("sounddevice")
    try:
        device.start()
        yield lambda pcm: device.write(np.ascontiguousarray(pcm, dtype=np.float32)[:, None])
        device.stop()
    except sounddevice.PortAudioError as error:
        raise SettingsError(
            f"the sound device stopped playing ({error}): does another program use it? Write a file with -o FILE"
        ) from None
    except BaseException:
        device.abort()
        raise
    finally:
        device.close()


@contextmanager
def _program_player(command: list[str]) -> Iterator[Write]:
    # A session of its own keeps Ctrl-C from reaching the player before us.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    pipe: Any = process.stdin

    def write(pcm: Pcm) -> None:
        try:
            pipe.write(to_int16(pcm).tobytes())
            pipe.flush()
        except BrokenPipeError:
            raise SettingsError(
                f"{Path(command[0]).name} stopped playing: is there a sound device? Write a file with -o FILE instead"
            ) from None

    try:
        yield write
        with suppress(BrokenPipeError):
            pipe.close()
        process.wait()
    except BaseException:
        process.kill()
        raise
    finally:
        with suppress(BrokenPipeError):
            pipe.close()
        process.wait()
