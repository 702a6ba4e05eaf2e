"""`csm eval` judges a model, prints a table, and writes its figures and a picture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from csm_plugin.cli import evaluate, main
from csm_plugin.evaluation import terminal
from csm_plugin.evaluation.conditions import NEEDS
from csm_plugin.evaluation.evaluation import Evaluation, Order
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.table import Row

ROWS = [Row("words", "word error", "7.5%", "≤ 8%", True), Row("speed", "RTF", "0.2", "≤ 0.15", False, "one core")]


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """The orders that the command gives; the evaluation itself is made up."""
    given: list[Order] = []

    def made_up(order: Order, meter: object) -> Evaluation:
        given.append(order)
        return Evaluation({"model": order.model}, ROWS, [], None, None)

    monkeypatch.setattr(terminal, "evaluate", made_up)
    monkeypatch.setattr(evaluate, "check_model", lambda model, voices=(): None)
    return given


def test_the_table_says_what_passed(orders: list[Order], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--model", "some-model", "--out", str(tmp_path / "out")]) == 0

    told = capsys.readouterr()
    assert "some-model" in told.out
    lines = {row.name: next(line for line in told.out.splitlines() if f" {row.name} " in line) for row in ROWS}
    assert "passed" in lines["word error"] and "not yet" in lines["RTF"]
    assert "one core" in told.out
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["rows"][0]["figure"] == "7.5%"
    assert "evaluation.png" in told.err.replace("\n", "")


def test_everything_is_evaluated_by_default(orders: list[Order], tmp_path: Path) -> None:
    main(["eval", "--out", str(tmp_path)])

    (order,) = orders
    assert (order.parts, order.voices, order.sentences) == (None, None, 100)
    assert order.sampling.seed == 0


def test_parts_voices_and_sampling_can_be_chosen(orders: list[Order], tmp_path: Path) -> None:
    chosen = "--parts words,speed --voices ann,bob --sentences 5 --temperature 0 --seed 9".split()
    main(["eval", *chosen, "--out", str(tmp_path)])
    main(["eval", "--voices", "none", "--out", str(tmp_path)])

    first, second = orders
    assert (first.parts, first.voices, first.sentences) == (("words", "speed"), ("ann", "bob"), 5)
    assert (first.sampling.temperature, first.sampling.seed) == (0, 9)
    assert second.voices == ()


def test_the_help_names_all_parts_and_sentences() -> None:
    assert set(NEEDS) == set(evaluate.PARTS)
    assert len(HELD_OUT) == evaluate.MOST_SENTENCES


@pytest.mark.parametrize(
    "wrong",
    [
        ("--parts", "word"),
        ("--sentences", "0"),
        ("--temperature", "9"),
        ("--device", "gpu"),
        ("--model", "nowhere"),
        ("--voices", "nobody"),
        ("--out", f"{__file__}/folder"),
    ],
)
def test_a_wrong_option_is_one_line(
    wrong: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", *wrong]) == 1

    error = capsys.readouterr().err
    assert error.startswith("csm: ") and error.count("\n") == 1


def test_the_commands_help_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "matplotlib", "csm_plugin.evaluation")
    parse = "import sys; from csm_plugin.cli import command; command.command_parser()"
    code = f"{parse}; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "[]"
