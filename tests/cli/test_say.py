"""`csm say` speaks into files, pipes and loudspeakers, and leaves something sound behind whatever happens."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm_plugin.audio import to_int16, wav_header
from csm_plugin.cli import main, outputs
from csm_plugin.errors import GenerationError
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling
from tests.cli.speaking_engine import Engine

FRAME = to_int16(np.full(FRAME_SAMPLES, 0.25, np.float32))


def frames_in(path: Path) -> int:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == SAMPLE_RATE_HZ
    assert np.array_equal(samples, np.tile(FRAME, len(samples) // FRAME_SAMPLES))
    return len(samples) // FRAME_SAMPLES


def test_a_text_becomes_a_wav_file(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.wav"
    assert main(["say", "Hello there, how are you?", "-o", str(out)]) == 0
    assert frames_in(out) == 5
    assert engine.closed
    told = capsys.readouterr()
    assert told.out == ""
    assert "0.4 s of speech, RTF" in told.err
    assert "first sound after" in told.err


def test_a_long_text_is_spoken_sentence_by_sentence_in_one_conversation(engine: Engine, tmp_path: Path) -> None:
    text = "This is one sentence. " * 500 + "😀 --- ok."
    assert main(["say", text, "-o", str(tmp_path / "out.wav"), "-q"]) == 0
    assert len(engine.texts) == 501
    assert frames_in(tmp_path / "out.wav") == 500 * 4 + 3


@pytest.mark.parametrize("text", [[], ["-"]])
def test_standard_input_is_read(
    engine: Engine, tmp_path: Path, pipe_in: Callable[[bytes], None], text: list[str]
) -> None:
    pipe_in("Café is open. Come in.\n".encode())
    assert main(["say", *text, "-o", str(tmp_path / "out.wav")]) == 0
    assert engine.texts == ["Café is open.", "Come in."]


def test_settings_reach_the_conversation(engine: Engine, tmp_path: Path) -> None:
    options = ["--voice", "ann", "--speaker", "3", "--seed", "7", "--temperature", "0"]
    assert main(["say", "Hello", "-o", str(tmp_path / "out.wav"), *options]) == 0
    assert engine.asked == {"voice": "ann", "speaker": 3, "sampling": Sampling(temperature=0, seed=7)}


def test_a_wav_file_goes_to_standard_output(engine: Engine, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Here it is a file, as with `> out.wav`, so that the header has the length in the end."""
    assert main(["say", "one two", "-o", "-"]) == 0
    assert capfdbinary.readouterr().out == wav_header(SAMPLE_RATE_HZ, 2 * len(FRAME)) + FRAME.tobytes() * 2


def test_ctrl_c_leaves_a_valid_file_of_what_was_spoken(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.fault = lambda text: KeyboardInterrupt() if text == "Second is cut." else None
    assert main(["say", "First is whole. Second is cut. Third.", "-o", str(tmp_path / "out.wav")]) == 130
    assert frames_in(tmp_path / "out.wav") == 4
    assert engine.closed
    assert "stopped: 0.3 s of speech" in capsys.readouterr().err


def test_a_failure_in_the_middle_keeps_what_was_spoken_and_is_told_in_one_line(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.fault = lambda text: GenerationError("the model failed:\nit gave NaN")
    assert main(["say", "one two three", "-o", str(tmp_path / "out.wav")]) == 1
    assert frames_in(tmp_path / "out.wav") == 1
    assert capsys.readouterr().err.strip() == "csm: the model failed: it gave NaN"


def test_debug_shows_the_traceback(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine.fault = lambda text: GenerationError("the model failed")
    assert main(["say", "one two", "-o", str(tmp_path / "out.wav"), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_sentences_that_were_cut_off_are_told(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.finish_reason = "length"
    assert main(["say", "One two. Three four.", "-o", str(tmp_path / "out.wav")]) == 0
    assert "2 of 2 sentences reached their length limit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([""], "empty"),
        (["  \n"], "blank"),
        (["😀 --- !!!"], "can be spoken"),
        (["😀" * 100_000], "can be spoken"),
        (["hi", "--temperature", "9"], "temperature is 9.0"),
        (["hi", "--seed", "-1"], "seed is -1"),
        (["hi", "--voice", "zoe"], "this engine has: ann"),
        (["hi", "--speaker", "100"], "speaker is 100"),
        (["hi", "--device", "gpu"], "device is 'gpu'; allowed are"),
        (["hi", "-o", "nowhere/out.wav"], "nowhere/out.wav (No such file or directory); give a name in a folder that"),
        (["hi", "-o", "."], ". is a folder"),
        (["hi", "-o", "/"], "/ is a folder"),
        (["hi", "-o", ""], ". is a folder"),
        (["hi", "-o", "out.aac"], "out.aac ends in .aac; sound is written as .wav, .flac"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_file(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["say", "-o", "out.wav", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("csm: ")
    assert told in error
    assert not list(tmp_path.iterdir())
    assert not engine.texts


def test_standard_input_that_is_not_text_is_refused(
    engine: Engine, tmp_path: Path, pipe_in: Callable[[bytes], None], capsys: pytest.CaptureFixture[str]
) -> None:
    pipe_in(b"RIFF\xff\xfe")
    assert main(["say", "-o", str(tmp_path / "out.wav")]) == 1
    assert "not UTF-8 text (byte 4)" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["say", "hi"], ["say", "hi", "--speaker", "x", "-o", "a"], ["sing"], []])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2


@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/out.wav"])
def test_a_device_is_no_place_for_a_file(engine: Engine, capsys: pytest.CaptureFixture[str], place: str) -> None:
    """The finished file took the place of the device."""
    assert main(["say", "hi", "-o", place]) == 1
    assert capsys.readouterr().err.startswith(
        ("csm: /dev/null is no file;", "csm: cannot write /dev/null/out.wav (Not")
    )
    assert not Path("/dev/null").is_file()


def test_without_a_place_for_the_speech_one_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["say", "Hello"])
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "-o hello.wav" in error and "--play" in error


def test_an_error_is_not_hidden_where_quiet_is_asked_for(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`-q` swallowed every error."""
    engine.fault = lambda text: GenerationError("the model failed")
    assert main(["say", "one two", "-q", "-o", str(tmp_path / "out.wav")]) == 1
    assert capsys.readouterr().err == "csm: the model failed\n"


def test_quiet_says_nothing_else(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "one two", "-q", "-o", str(tmp_path / "out.wav")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("suffix", "form"), [(".flac", "FLAC"), (".OGG", "OGG"), (".opus", "OGG"), (".mp3", "MP3")])
def test_the_name_of_the_file_says_its_format(engine: Engine, tmp_path: Path, suffix: str, form: str) -> None:
    assert main(["say", "one two", "-o", str(tmp_path / f"out{suffix}")]) == 0
    assert soundfile.info(tmp_path / f"out{suffix}").format == form


def test_speech_is_played_by_a_program_that_takes_raw_samples(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = tmp_path / "aplay"
    player.write_text(f"#!/bin/sh\nexec /bin/cat > {tmp_path}/heard\n")
    player.chmod(player.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(outputs, "_open_device", lambda sample_rate: None)
    assert main(["say", "one two three", "--play"]) == 0
    assert (tmp_path / "heard").read_bytes() == FRAME.tobytes() * 3


def test_without_a_player_the_error_says_what_to_install(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(outputs, "_open_device", lambda sample_rate: None)
    assert main(["say", "one", "--play"]) == 1
    assert "install sounddevice" in capsys.readouterr().err


def test_a_player_that_dies_is_told_and_the_file_is_kept(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    player = tmp_path / "aplay"
    player.write_text("#!/bin/sh\nexit 1\n")
    player.chmod(player.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(outputs, "_open_device", lambda sample_rate: None)
    assert main(["say", "word " * 2_000, "--play", "-o", str(tmp_path / "out.wav")]) == 1
    assert "aplay stopped playing" in capsys.readouterr().err
    assert frames_in(tmp_path / "out.wav") > 0
