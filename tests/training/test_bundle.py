"""The bundle stage puts a judged checkpoint into the package."""

import json

import pytest

from csm_plugin.model.checkpoint import DIGESTS, digests
from training.bundle import bundle
from training.errors import MissingInput, TrainingError

ROW = {
    "part": "words",
    "name": "word error, default voice",
    "figure": "7.1%",
    "goal": "≤ 8%",
    "passed": True,
    "more": "100 sentences",
}


@pytest.fixture
def folder(tmp_path):
    exported = tmp_path / "build" / "csm-tiny"
    (exported / "voices").mkdir(parents=True)
    (exported / "README.md").write_text("# csm-tiny\n")
    (exported / "config.json").write_text("{}")
    (exported / "voices" / "clara.txt").write_text("Hello.")
    judged = tmp_path / "build" / "evaluation"
    judged.mkdir()
    (judged / "evaluation.json").write_text(json.dumps({"rows": [ROW]}))
    return tmp_path / "build"


def test_the_card_gets_the_figures_and_the_digests_are_pinned(folder, tmp_path):
    place = bundle.run(folder, tmp_path / "checkpoints")

    assert "| word error, default voice | 7.1% | ≤ 8% | 100 sentences |" in (place / "README.md").read_text()
    assert (place / "voices" / "clara.txt").read_text() == "Hello."
    pinned = dict(reversed(line.split("  ")) for line in (place / DIGESTS).read_text().splitlines())
    assert pinned == digests(place) and len(pinned) == 3
    assert [path.name for path in place.parent.iterdir()] == ["csm-tiny"]


def test_a_checkpoint_that_was_not_judged_is_not_bundled(folder, tmp_path):
    (folder / "evaluation" / "evaluation.json").unlink()

    with pytest.raises(MissingInput, match="listen"):
        bundle.run(folder, tmp_path / "checkpoints")


def test_one_that_is_too_large_is_refused_and_what_was_there_stays(folder, tmp_path, monkeypatch):
    place = bundle.run(folder, tmp_path / "checkpoints")
    monkeypatch.setattr(bundle, "_MOST_BYTES", 10)

    with pytest.raises(TrainingError, match="the package takes"):
        bundle.run(folder, tmp_path / "checkpoints")
    assert digests(place)
