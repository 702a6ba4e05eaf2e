"""The examples in docs/models.md run as they stand, and its table names what the code knows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from csm_plugin.cli import main
from csm_plugin.cli.command import command_parser
from csm_plugin.model.known import KNOWN

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for command in "".join(blocks("bash")).splitlines():
        assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err


def test_the_commands_that_need_the_hub_are_taken() -> None:
    for command in "".join(blocks("console")).splitlines():
        assert command_parser().parse_args(shlex.split(command)[1:]).run


def test_the_python_example_runs() -> None:
    (source,) = blocks("python")
    exec(compile(source, "models.md", "exec"), {})


def test_every_known_checkpoint_that_was_tested_is_in_the_table() -> None:
    for one in KNOWN:
        assert (f"`{one.hub_id}`" in PAGE) == (one.tested is not None), one.hub_id
