"""The README's examples run as they stand."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.table import table
from csm_plugin.cli import main

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def place(small_csm_tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and a `csm-tiny` that loads in no time."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def event_loop_of_a_program() -> Iterator[None]:
    """What `asyncio.get_event_loop()` finds, as in a program's main thread."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.usefixtures("event_loop_of_a_program")
@pytest.mark.parametrize("source", blocks("python"), ids=lambda source: source.splitlines()[1][:40])
def test_a_python_example_runs(source: str) -> None:
    names: dict[str, object] = {}
    exec(compile(source, "README.md", "exec"), names)
    if "engine" in names:
        names["engine"].close()  # type: ignore[attr-defined]


def test_the_command_line_examples_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("csm ") and not line.startswith("csm serve")]
    assert len(commands) == 2
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().out
    assert (tmp_path / "hello.wav").stat().st_size > 1_000


def test_the_table_of_figures_comes_from_the_committed_results() -> None:
    assert table() in README
