"""Sound files come in from any format, and go out as WAV that appears when it is complete."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm_plugin.audio import WavStream, WavWriter, read_audio, to_int16, wav_header, write_wav
from csm_plugin.errors import AudioError

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(12_000) / 24_000)).astype(np.float32)


def test_a_written_file_holds_exactly_the_int16_samples(tmp_path: Path) -> None:
    write_wav(tmp_path / "tone.wav", TONE, 24_000)
    samples, rate = soundfile.read(tmp_path / "tone.wav", dtype="int16")
    assert rate == 24_000
    assert np.array_equal(samples, to_int16(TONE))


@pytest.mark.parametrize("name", ["tone.wav", "tone.flac", "tone.ogg"])
def test_reading_gives_back_what_was_written(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, TONE, 24_000)
    pcm, rate = read_audio(tmp_path / name)
    assert (pcm.dtype, pcm.ndim, rate) == (np.float32, 1, 24_000)
    assert np.max(np.abs(pcm - TONE)) < 0.05


def test_stereo_files_are_mixed_down(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "stereo.wav", np.stack([TONE, np.zeros_like(TONE)], axis=1), 24_000, subtype="FLOAT")
    pcm, _ = read_audio(str(tmp_path / "stereo.wav"))
    assert np.allclose(pcm, TONE / 2)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not sound at all" * 100, b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(AudioError, match=r"bad\.wav"):
        read_audio(tmp_path / "bad.wav")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="there is no file"):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="there is no file"):
        read_audio(tmp_path)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(wav_header(24_000, 0))
    with pytest.raises(AudioError, match="empty"):
        read_audio(tmp_path / "empty.wav")


def test_a_file_that_is_too_long_is_refused_with_its_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(8_000 * 3), 8_000)
    with pytest.raises(AudioError, match=r"3\.0 s long; at most 2 s"):
        read_audio(tmp_path / "long.wav", max_seconds=2)


def test_a_growing_file_appears_under_its_name_only_when_it_is_closed(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "out.wav", 24_000) as wav:
        wav.write(TONE)
        wav.write(to_int16(TONE))
        assert not (tmp_path / "out.wav").exists()
        assert wav.seconds == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]
    assert soundfile.info(tmp_path / "out.wav").frames == 24_000


def test_what_was_written_before_an_interrupt_is_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), WavWriter(tmp_path / "out.wav", 24_000) as wav:
        wav.write(TONE)
        raise KeyboardInterrupt
    assert soundfile.info(tmp_path / "out.wav").frames == len(TONE)


def test_nothing_written_leaves_an_existing_file_alone(tmp_path: Path) -> None:
    write_wav(tmp_path / "out.wav", TONE, 24_000)
    WavWriter(tmp_path / "out.wav", 24_000).close()
    assert soundfile.info(tmp_path / "out.wav").frames == len(TONE)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("place", ["nowhere/out.wav", "."])
def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(AudioError, match="name"):
        WavWriter(tmp_path / place, 24_000)


def test_writing_sound_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="one channel"):
        write_wav(tmp_path / "out.wav", np.zeros((10, 2), dtype=np.float32), 24_000)
    assert not list(tmp_path.iterdir())


def test_the_header_makes_raw_samples_a_wav_file(tmp_path: Path) -> None:
    samples = to_int16(TONE)
    for name, header in (("known.wav", wav_header(24_000, len(samples))), ("stream.wav", wav_header(24_000))):
        (tmp_path / name).write_bytes(header + samples.tobytes())
        pcm, rate = soundfile.read(tmp_path / name, dtype="int16")
        assert rate == 24_000
        assert np.array_equal(pcm, samples)


def of_unknown_length(path: Path) -> Path:
    """Let a FLAC file not tell how long it is, as one that was sent while it was made."""
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_a_flac_file_that_does_not_tell_its_length_is_read(tmp_path: Path, seconds: float) -> None:
    """libsndfile says 2^63 - 1 frames of it."""
    sound = np.random.default_rng(0).normal(0, 0.1, round(24_000 * seconds)).astype(np.float32)
    soundfile.write(tmp_path / "tone.flac", sound, 24_000)
    whole, _ = read_audio(tmp_path / "tone.flac")
    pcm, rate = read_audio(of_unknown_length(tmp_path / "tone.flac"), max_seconds=seconds)
    assert rate == 24_000
    assert np.array_equal(pcm, whole)
    with pytest.raises(AudioError, match=r"longer than 0\.4 s"):
        read_audio(tmp_path / "tone.flac", max_seconds=0.4)


def test_a_stream_that_can_be_gone_back_in_tells_its_length_in_the_end(tmp_path: Path) -> None:
    with (tmp_path / "out.wav").open("wb") as file:
        file.write(b"before")
        with WavStream(file, 24_000) as wav:
            wav.write(TONE)
            assert (tmp_path / "out.wav").read_bytes()[6:50] == wav_header(24_000)
            wav.write(TONE)
        file.write(b"after")
    sound = np.tile(to_int16(TONE), 2).astype("<i2").tobytes()
    assert (tmp_path / "out.wav").read_bytes() == b"before" + wav_header(24_000, 24_000) + sound + b"after"


def test_in_memory_it_does_too() -> None:
    memory = io.BytesIO()
    with WavStream(memory, 24_000) as wav:
        wav.write(TONE)
    assert memory.getvalue()[:44] == wav_header(24_000, len(TONE))


def test_a_pipe_and_a_file_that_is_appended_to_keep_the_header_of_unknown_length(tmp_path: Path) -> None:
    (tmp_path / "out.wav").write_bytes(b"before")
    with (tmp_path / "out.wav").open("ab") as file, WavStream(file, 24_000) as wav:
        wav.write(TONE)
    assert (tmp_path / "out.wav").read_bytes()[6:] == wav_header(24_000) + to_int16(TONE).astype("<i2").tobytes()
    reading, writing = os.pipe()
    with open(writing, "wb") as pipe, WavStream(pipe, 24_000) as wav:
        wav.write(TONE[:100])
    with open(reading, "rb") as pipe:
        assert pipe.read()[:44] == wav_header(24_000)


def test_more_than_a_wav_file_can_tell_is_of_unknown_length() -> None:
    assert wav_header(24_000, 2**31) == wav_header(24_000)
