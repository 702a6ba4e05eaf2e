"""`csm models check`: one report on standard output, for people or as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csm_plugin.cli import main
from tests.replicas.repositories import write_adapter, write_copy, write_mimi, write_original
from tests.replicas.tensors import MARVIS, SMALL

TINY = SMALL.with_layers(2, 1)


def test_as_json_it_is_json_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_copy(tmp_path, TINY)
    assert main(["models", "check", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["layout"] == "transformers" and told["problem"] is None
    assert told["kinds"] == {"F32": sum(told["parameters"].values())}


def test_what_a_model_is_completed_with_is_a_part_of_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, mimi = write_original(tmp_path / "model", TINY), write_mimi(tmp_path / "mimi", TINY)
    other = write_adapter(tmp_path / "adapter", MARVIS)
    command = ["models", "check", str(folder), "--codec", str(mimi), "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["layout"] == "original"
    assert main([*command, "--adapter", str(other)]) == 1
    assert "the adapter is for another" in json.loads(capsys.readouterr().out)["problem"]


@pytest.mark.parametrize(
    "model", ["nothing", "~nobody-of-that-name/x", "x" * 5_000, "/proc/1/root/x"], ids=lambda m: m[:20]
)
def test_what_cannot_be_found_is_one_line_and_no_json(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", model, "--json"]) == 1
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1 and told.err.startswith("csm: ")
