"""Sound files come in from any format, and go out as WAV that appears when it is complete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm_plugin.audio import WavWriter, read_audio, to_int16, wav_header, write_wav
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
