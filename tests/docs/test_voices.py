"""The examples in docs/voices.md run as they stand, and its figures are the code's."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

from csm_plugin.audio import read_audio, recording
from csm_plugin.cli import main, outputs
from csm_plugin.conversation import prepared_voice, transcript
from csm_plugin.model import checkpoint
from csm_plugin.model.checkpoint import BUNDLED
from tests.server.running import running

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "voices.md").read_text(encoding="utf-8")
CLARA = BUNDLED / "csm-tiny" / "voices" / "clara.flac"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.replace("\\\n", "").splitlines()]


@pytest.fixture(autouse=True)
def place(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the recording; small stand-ins for the models; and a loudspeaker that is silent."""
    soundfile.write(tmp_path / "ann.wav", *read_audio(CLARA))
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    (bundled / "csm-tiny").symlink_to(tiny_checkpoint)
    csm_1b = tmp_path / "csm-1b" / "prompts"
    csm_1b.mkdir(parents=True)
    shutil.copy(tmp_path / "ann.wav", csm_1b / "conversational_a.wav")
    find: Callable[[str], Path] = checkpoint.find_checkpoint

    def find_stand_in(model: str) -> Path:
        return csm_1b.parent if model == "sesame/csm-1b" else find(model)

    @contextmanager
    def loudspeaker(rate: int) -> Iterator[outputs.Write]:
        yield lambda pcm: None

    monkeypatch.setattr(checkpoint, "BUNDLED", bundled)
    monkeypatch.setattr(checkpoint, "find_checkpoint", find_stand_in)
    monkeypatch.setattr(outputs, "can_play", lambda rate: True)
    monkeypatch.setattr(outputs, "loudspeaker", loudspeaker)
    monkeypatch.chdir(tmp_path)


def test_the_commands_run_in_their_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line for line in COMMANDS if line.startswith("csm ")]
    assert len(commands) == 9 == len(COMMANDS) - 2
    said = CLARA.with_suffix(".txt").read_text(encoding="utf-8").strip()
    for command in commands:
        command = command.replace("What is said in it, word for word.", said)
        assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    assert (tmp_path / "hello.wav").stat().st_size > 1_000


def test_the_python_example_runs() -> None:
    (source,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(source, "voices.md", "exec"), names)
    assert len(names["pcm"]) > 1_000  # type: ignore[arg-type]


def test_the_servers_examples_run(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with running(tiny_checkpoint) as server:
        for command in (line for line in COMMANDS if line.startswith("curl ")):
            here = command.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
            subprocess.run(["bash", "-euc", here], check=True, timeout=60, capture_output=True)
    assert (tmp_path / "hello.mp3").stat().st_size > 1_000


def test_what_is_said_of_strangers_was_measured() -> None:
    told = json.loads((ROOT / "benchmarks" / "results" / "strangers.json").read_text(encoding="utf-8"))["figures"]
    table = PAGE.partition("<!-- strangers -->")[2].partition("<!-- /strangers -->")[0]
    rows = [
        f"| {of['nearest to that voice']:.0%} of 24 | {of['pitch off, median']:.0%} | {of['word error']:.0%} |"
        for of in told.values()
    ]
    assert re.findall(r"\| \d.*", table) == [row.replace("%", " %") for row in rows]
    assert {of["cases"] for of in told.values()} == {24}


def test_the_figures_are_those_of_the_code() -> None:
    for figure in (
        f"more than {prepared_voice.MAX_RECORDING_S / 60:.0f} minutes",
        f"more than {recording.MAX_CLIPPED * 100:g} %",
        f"less than {recording.MIN_SNR_DB:g} dB apart",
        f"trimmed to {recording.MARGIN_S:g} s",
        f"less than {recording.MIN_SPEECH_S:g} s of speech",
        f"brought to {recording.LEVEL_DB:g} dBFS, no peak above {recording.PEAK_DB:g} dBFS",
        f"nothing above {recording.MIN_LEVEL_DB:g} dBFS",
        f"{transcript.FASTEST:g} times less, {transcript.SLOWEST:g} times more",
        f"cut to {prepared_voice.MAX_PROMPT_S:g} s",
        f"from {transcript.MIN_KEPT_S:g} s on",
    ):
        assert figure in PAGE, figure
