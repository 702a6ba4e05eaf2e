"""The command line on a real engine, with a small checkpoint of random weights."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

from csm_plugin.audio import wav_header
from csm_plugin.cli import main
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ

HEADER = wav_header(SAMPLE_RATE_HZ)
SAMPLE_BYTES = 2
FRAME_BYTES = FRAME_SAMPLES * 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_random_checkpoint(tmp_path_factory.mktemp("checkpoint")))


@contextmanager
def speaking(model: str) -> Iterator[subprocess.Popen[bytes]]:
    """`csm say` of a text that is longer than a pipe holds, down a pipe, with its first frame read."""
    command = [sys.executable, "-m", "csm_plugin.cli", "say", "-o", "-", "--model", model, "A long text. " * 300]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(len(HEADER)) == HEADER
            assert len(process.stdout.read(FRAME_BYTES)) == FRAME_BYTES
            yield process
        finally:
            process.kill()


def test_a_seed_says_it_the_same_way_again(model: str, tmp_path: Path) -> None:
    sounds = []
    for number, seed in enumerate(("1", "1", "2")):
        out = tmp_path / f"{number}.wav"
        assert main(["say", "Hello there. Again.", "--model", model, "--seed", seed, "-o", str(out), "-q"]) == 0
        assert soundfile.info(out).samplerate == SAMPLE_RATE_HZ
        sounds.append(out.read_bytes())
    assert sounds[0] == sounds[1] != sounds[2]


def test_a_voice_that_the_model_lacks_is_one_line(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["say", "Hello", "--model", model, "--voice", "nobody", "-o", str(tmp_path / "out.wav")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("csm: ")
    assert error.count("\n") == 1
    assert "nobody" in error


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "Hello", "--model", str(tmp_path / "none"), "-o", str(tmp_path / "out.wav")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("csm: there is no model")
    assert error.count("\n") == 1


def test_doctor_measures_the_model(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--model", model, "--device", "cpu"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"]["rtf"] > 0
    assert told["model"]["first_sound_s"] > 0


def test_ctrl_c_stops_it_at_a_whole_sample(model: str) -> None:
    with speaking(model) as process:
        process.send_signal(signal.SIGINT)
        rest, error = process.communicate(timeout=30)
        assert process.returncode == 130
        assert len(rest) % SAMPLE_BYTES == 0  # the write that it interrupts may end within a frame
        assert b"stopped: " in error


def test_a_reader_that_goes_away_ends_it_without_a_traceback(model: str) -> None:
    with speaking(model) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=30) == 1
        assert b"Traceback" not in process.stderr.read()
