"""The steps of docs/tutorial.md run as they stand, with the model that they name."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from csm_plugin.audio import read_audio
from csm_plugin.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
AGENT, INSTALL, SAY = (block.strip() for language, block in BLOCKS if language == "bash")
TALK, PIPELINE = (block for language, block in BLOCKS if language == "python")


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_block_is_tried_here() -> None:
    assert len(BLOCKS) == len([AGENT, INSTALL, SAY, TALK, PIPELINE])


def test_what_is_installed_is_an_extra_of_the_package() -> None:
    (extra,) = re.fullmatch(r'pip install "\.\[(\w+)\]"', INSTALL).groups()  # type: ignore[union-attr]
    assert re.search(rf"^{extra} = ", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_agent_starts_and_prints_the_address_of_its_page() -> None:
    told = subprocess.run(
        [*AGENT.split(), "--dry-run", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    recipe = shlex.split(told.stdout.splitlines()[-1].partition("||")[0])
    settings = dict(word.split("=", 1) for word in recipe if re.match(r"[A-Z_]+=", word))
    command = [word for word in recipe if not re.match(r"[A-Z_]+=", word)]
    assert command[0] == ".venv/bin/python"
    with subprocess.Popen(
        [sys.executable, *command[1:], "--port", "0"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")} | settings,
        stdout=subprocess.PIPE,
        text=True,
    ) as agent:
        try:
            assert agent.stdout is not None
            assert any(re.search(r"http://127\.0\.0\.1:\d+/", line) for line in agent.stdout)
            agent.send_signal(signal.SIGINT)
            assert agent.wait(60) == 130
        finally:
            agent.kill()


def test_it_says_something(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(SAY)[1:]) == 0, capsys.readouterr().err
    pcm, rate = read_audio(tmp_path / "keys.wav")
    assert len(pcm) > rate
    told = capsys.readouterr().err
    assert "of speech" in told and "RTF" in told and "first sound after" in told


@pytest.mark.parametrize("command", re.findall(r"`csm (.*?)`", PAGE))
def test_a_command_in_the_text_runs(command: str) -> None:
    assert main(shlex.split(command)) == 0


def test_the_ten_lines_speak_and_keep_what_was_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len([line for line in TALK.splitlines() if line and not re.match("(from|import) ", line)]) <= 10
    exec(compile(TALK, "tutorial.md", "exec"), {})
    *spoken, last = capsys.readouterr().out.splitlines()
    words = " ".join(line.split(": ", 1)[1] for line in spoken if ": " in line)
    heard = last.removeprefix("heard: ")
    assert words == "You should wear a warm coat because it is cold outside."
    assert heard and words.startswith(heard) and heard != words
    assert len(read_audio(tmp_path / "coat.wav")[0]) > 24_000


def test_the_pipeline_tells_when_each_word_is_heard(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(PIPELINE, "tutorial.md", "exec"), {})
    lines = [line.split(" s: ") for line in capsys.readouterr().out.splitlines()]
    assert " ".join(word for _, word in lines) == "Of course. I will be there at noon."
    times = [float(time) for time, _ in lines]
    assert times == sorted(times) and times[-1] > times[0]
