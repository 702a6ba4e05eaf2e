"""A whole evaluation of a checkpoint of random weights, into files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csm_plugin.conversation import VoicePrompt
from csm_plugin.engine import Engine
from csm_plugin.errors import SettingsError, VoiceError
from csm_plugin.evaluation.conditions import NEEDS
from csm_plugin.evaluation.dialogue import Condition, Dialogue, Recording, speak
from csm_plugin.evaluation.errors import EvaluationError
from csm_plugin.evaluation.evaluation import Evaluation, Order, evaluate
from csm_plugin.settings import Sampling

SHORT = Sampling(seed=3, max_seconds=0.4)


class Counted:
    """A meter that counts."""

    def __init__(self) -> None:
        self.total = 0
        self.count = 0

    def start_on(self, utterances: int) -> None:
        self.total = utterances

    def made(self, utterances: int, what: str) -> None:
        self.count += utterances


@pytest.fixture(scope="module")
def evaluation(checkpoint: Path) -> Evaluation:
    return evaluate(Order(str(checkpoint), device="cpu", sentences=1, sampling=SHORT), Counted())


def test_every_part_gives_its_rows(evaluation: Evaluation) -> None:
    assert [row.part for row in evaluation.rows] == [
        "words", "words", "endings", "voices", "voices", "voices", "pitch", "turns", "turns", "parity", "speed",
    ]  # fmt: skip
    assert evaluation.about["voices"] == ["clara", "robert"]


def test_what_never_ends_by_itself_is_told(evaluation: Evaluation) -> None:
    (row,) = [row for row in evaluation.rows if row.part == "endings"]

    assert row.figure == "0.0%" and row.more.startswith("5 runaway")


def test_a_checkpoint_that_transformers_cannot_speak_with_says_so(evaluation: Evaluation) -> None:
    (row,) = [row for row in evaluation.rows if row.part == "parity"]

    assert row.figure == "not measured" and "transformers cannot load" in row.more


def test_only_csm_tiny_has_goals(evaluation: Evaluation) -> None:
    assert not any(row.goal for row in evaluation.rows)


def test_all_of_it_is_written(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.write(tmp_path / "out")

    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert set(told["about"]["parts"]) == set(NEEDS)
    assert len(told["readings"]) == len(evaluation.readings)
    assert told["readings"][0]["text"] == "The train to the coast leaves in ten minutes."
    assert told["readings"][0]["condition"] == Condition.DEFAULT
    assert told["speed"]["processor_rtf"] > 0
    assert (tmp_path / "out" / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_place_that_cannot_be_written_to_is_refused(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EvaluationError, match="give another folder"):
        evaluation.write(tmp_path / "file")


def test_the_same_order_gives_the_same_readings_and_counts_them(checkpoint: Path, evaluation: Evaluation) -> None:
    meter = Counted()
    again = evaluate(
        Order(str(checkpoint), device="cpu", sentences=1, parts=["words"], sampling=SHORT, at_once=2), meter
    )

    assert again.readings == evaluation.readings[:5]
    assert meter.count == meter.total == 5


def test_what_a_dialogue_listens_to_becomes_context(checkpoint: Path, prompts: list[VoicePrompt]) -> None:
    earlier = Recording(prompts[0], speaker=2)
    with Engine.load(checkpoint, device="cpu", max_conversations=1) as engine:
        (alone,) = speak(engine, Dialogue(Condition.EARLIER, ("Hello.",), SHORT, speaker=2))
        (after,) = speak(engine, Dialogue(Condition.EARLIER, (earlier, "Hello."), SHORT, speaker=2))

    assert len(alone.pcm) == len(after.pcm) and (alone.pcm != after.pcm).any()
    assert (after.turn, after.ended) == (0, False)


@pytest.mark.parametrize("wrong", [{"parts": ["word"]}, {"sentences": 0}, {"sentences": 101}])
def test_what_cannot_be_ordered_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        Order("csm-tiny", **wrong)  # type: ignore[arg-type]


def test_an_unknown_voice_is_refused_before_anything_is_spoken(checkpoint: Path) -> None:
    with pytest.raises(VoiceError, match="known voices: clara, robert"):
        evaluate(Order(str(checkpoint), voices=["nobody"]), Counted())
