"""Sound is encoded frame by frame without waiting, tells its length, and is stretched without a change of pitch."""

from __future__ import annotations

import io
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from csm_plugin.audio import to_int16
from csm_plugin.server.formats.encoders import encoder
from csm_plugin.server.formats.names import MEDIA_TYPES
from csm_plugin.server.formats.stretch import Stretch
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.server.decoding import decode, pitch_of

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)).astype(np.float32)
FRAMES = [TONE[start : start + FRAME_SAMPLES] for start in range(0, len(TONE), FRAME_SAMPLES)]
CONTAINERS = [form for form in MEDIA_TYPES if form != "pcm"]
DELAY_FRAMES = {"mp3": 1, "opus": 1, "aac": 1, "flac": 1, "wav": 1, "pcm": 1}
NEAR_S = 0.025
"""How far what is decoded may be from what was spoken, in length and in place."""

LENGTHS = [SAMPLE_RATE_HZ + samples for samples in (0, 1, 576, 1_000, 1_151, 1_920, 3_840)]


def spoken(samples: int) -> np.ndarray:
    """Something that begins and ends softly, as speech does, and is nowhere like itself a moment later."""
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    sweep = 0.4 * np.sin(2 * np.pi * (200 + 300 * time_s) * time_s)
    return (sweep * np.clip(time_s / 0.05, 0, 1) * np.clip(time_s[::-1] / 0.05, 0, 1)).astype(np.float32)


def encode(sound: np.ndarray, form: Any, *, finished: bool) -> bytes:
    """Encode it frame by frame."""
    made = encoder(form, finished=finished)
    starts = range(0, len(sound), FRAME_SAMPLES)
    return b"".join(made.encode(sound[start : start + FRAME_SAMPLES]) for start in starts) + made.finish()


def read_by_soundfile(data: bytes) -> np.ndarray:
    """Decode with libsndfile, and mpg123 inside it, all at once."""
    sound, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return soxr.resample(sound, rate, SAMPLE_RATE_HZ)


def read_by_ffmpeg(data: bytes) -> np.ndarray:
    """Decode with the program, from a pipe."""
    command = ["ffmpeg", "-v", "error", "-i", "pipe:0", "-f", "f32le", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), "-"]
    done = subprocess.run(command, input=data, capture_output=True, check=True, timeout=60)
    return np.frombuffer(done.stdout, "<f4")


READERS = {"PyAV": decode, "soundfile": read_by_soundfile, "ffmpeg": read_by_ffmpeg}
FINISHED, STREAMED = True, False
READS = [
    (reader, form, finished)
    for reader in READERS
    for form in CONTAINERS
    for finished in (FINISHED, STREAMED)
    if (reader, form) != ("soundfile", "aac") and (reader, form, finished) != ("soundfile", "flac", STREAMED)
]
"""What each can read: libsndfile knows no AAC, and no FLAC of unknown length."""


@pytest.mark.parametrize(("reader", "form", "finished"), READS)
def test_a_reader_hears_as_much_as_was_spoken_and_when(reader: str, form: Any, finished: bool) -> None:
    """MP3 and AAC decoded to 48 to 75 ms more, and libsndfile refused FLAC."""
    if reader == "ffmpeg" and shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg here")
    for samples in LENGTHS:
        sound = spoken(samples)
        heard = READERS[reader](encode(sound, form, finished=finished))
        assert 0 <= len(heard) - samples <= NEAR_S * SAMPLE_RATE_HZ
        middle = sound[6_000:12_000]
        at = int(np.argmax(np.correlate(heard[5_000:13_000], middle, "valid"))) + 5_000
        assert abs(at - 6_000) <= 0.002 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("form", [form for form in CONTAINERS if form != "aac"])
def test_a_finished_file_says_how_long_it_is(form: Any) -> None:
    for samples in LENGTHS:
        told = soundfile.info(io.BytesIO(encode(spoken(samples), form, finished=True)))
        assert told.frames / told.samplerate == pytest.approx(samples / SAMPLE_RATE_HZ, abs=0.001)


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_bytes_come_out_after_as_few_frames_as_the_format_allows(form: Any) -> None:
    sound = encoder(form)
    frames = 1
    while not sound.encode(FRAMES[frames - 1]):
        frames += 1
    sound.close()
    assert frames <= DELAY_FRAMES[form]


@pytest.mark.parametrize("form", CONTAINERS)
def test_what_is_encoded_sounds_the_same(form: Any) -> None:
    sound = encoder(form)
    heard = decode(b"".join(map(sound.encode, FRAMES)) + sound.finish())
    sound.close()
    assert len(heard) / SAMPLE_RATE_HZ == pytest.approx(2, abs=NEAR_S)
    assert pitch_of(heard) == pytest.approx(440, abs=1)
    assert np.std(heard) == pytest.approx(np.std(TONE), rel=0.1)


def test_lossless_formats_lose_nothing() -> None:
    for form in ("flac", "wav"):
        sound = encoder(form)  # type: ignore[arg-type]
        heard = decode(b"".join(map(sound.encode, FRAMES)) + sound.finish())
        assert np.array_equal(np.rint(heard * 32_768).astype(np.int16), to_int16(TONE))


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 0.8, 1, 1.3, 2, 3, 4])
def test_speed_changes_the_length_and_not_the_pitch(speed: float) -> None:
    stretch = Stretch(speed)
    pieces = [stretch.push(frame) for frame in FRAMES]
    heard = np.concatenate([*pieces, stretch.finish()])
    assert len(heard) / SAMPLE_RATE_HZ == pytest.approx(2 / speed, abs=0.03 + 0.01 / speed)
    assert pitch_of(heard) == pytest.approx(440, abs=1.5)
    assert next(n for n, piece in enumerate(pieces) if len(piece)) <= 3
