"""The listen stage judges what was exported."""

from loguru import logger

from csm_plugin.evaluation import terminal
from csm_plugin.evaluation.errors import EvaluationError
from training.__main__ import main


def test_without_an_export_it_says_what_to_run(tmp_path):
    told = []
    sink = logger.add(told.append)

    assert main(["listen", "--folder", str(tmp_path)]) == 1

    logger.remove(sink)
    assert "training export" in "".join(told)


def test_the_exported_folder_is_judged_into_a_folder_beside_it(tmp_path, monkeypatch):
    (tmp_path / "csm-tiny").mkdir()
    given = []
    monkeypatch.setattr(terminal, "run", lambda order, folder, console: given.append((order.model, folder)))

    assert main(["listen", "--folder", str(tmp_path)]) == 0

    assert given == [(str(tmp_path / "csm-tiny"), tmp_path / "evaluation")]


def test_what_is_missing_to_judge_with_ends_the_stage(tmp_path, monkeypatch):
    def refuse(*_):
        raise EvaluationError("install the recogniser")

    (tmp_path / "csm-tiny").mkdir()
    monkeypatch.setattr(terminal, "run", refuse)

    assert main(["listen", "--folder", str(tmp_path)]) == 1
