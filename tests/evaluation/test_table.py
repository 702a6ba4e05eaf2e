"""Figures come out of readings, and goals are judged by them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from csm_plugin.evaluation.dialogue import Condition
from csm_plugin.evaluation.parity import GreedyPair, Parity, SampledReading
from csm_plugin.evaluation.reading import Reading
from csm_plugin.evaluation.speed import Speed
from csm_plugin.evaluation.table import Row, rows

GOOD = Reading(
    condition=Condition.DEFAULT, voice=None, speaker=0, turn=0, seed=0, text="ten words", heard="ten words", words=10,
    word_errors=0, last_word_heard=True, ended=True, seconds=2.0, length=1.0, silence_s=0.2, broken_off=False,
    voice_found="ann", pitch_hz=200.0, pitch_ratio=None,
)  # fmt: skip
NAMES = ("ann", "bob", "cat", "dan", "eve", "fay")


def prompted(**changes: Any) -> list[Reading]:
    """A good reading in each of six voices, changed."""
    return [
        replace(
            GOOD, **{"condition": Condition.PROMPT, "voice": name, "voice_found": name, "pitch_ratio": 1.05} | changes
        )
        for name in NAMES
    ]


def table(part: str, readings: list[Reading], **others: Any) -> list[Row]:
    given: dict[str, Any] = {"parity": None, "speed": None, "goals": True}
    return rows([part], readings, **given | others)


def test_errors_are_counted_over_all_words() -> None:
    default, voices = table("words", [replace(GOOD, word_errors=3, words=30), GOOD, *prompted(word_errors=1)])

    assert (default.figure, default.passed) == ("7.5%", True)
    assert (voices.figure, voices.passed) == ("10.0% at worst", True)


def test_one_bad_voice_is_enough_to_miss_the_goal() -> None:
    readings = prompted()
    readings[3] = replace(readings[3], word_errors=2)

    _, voices = table("words", readings)

    assert not voices.passed and voices.more.endswith("dan 20%")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"ended": False}, "1 runaway"),
        ({"length": 0.3}, "1 of implausible length"),
        ({"length": 2.1}, "1 of implausible length"),
        ({"broken_off": True}, "1 broken off"),
        ({"silence_s": 0.9}, "1 with long silence"),
    ],
)
def test_each_fault_of_an_ending_is_counted(fault: dict[str, Any], told: str) -> None:
    (row,) = table("endings", [GOOD] * 99 + [replace(GOOD, **fault)])

    assert told in row.more
    assert row.passed is ("broken" in told or "silence" in told)


def test_the_right_voice_in_nine_of_ten_is_enough() -> None:
    voices = prompted() * 9 + prompted(voice_found="ann")

    follows, _, _ = table("voices", voices)

    assert (follows.figure, follows.passed) == ("91.7% of 6 voices", True)


def test_following_two_voices_is_not_following_six() -> None:
    follows, earlier, ids = table("voices", prompted()[:2])

    assert follows.figure == "100.0% of 2 voices" and follows.passed is False
    assert earlier.passed is None and ids.passed is None


def test_speaker_ids_name_voices_if_each_is_always_the_same_and_they_differ() -> None:
    spoken = [replace(GOOD, condition=Condition.SPEAKER_ID, speaker=n % 6, voice_found=NAMES[n % 6]) for n in range(60)]
    *_, steady = table("voices", spoken)
    *_, changing = table("voices", [replace(item, speaker=n % 5) for n, item in enumerate(spoken)])

    assert (steady.figure, steady.passed) == ("6 different voices", True)
    assert (changing.figure, changing.passed) == ("0 different voices", False)


def test_a_pitch_that_is_off_or_missing_is_not_near() -> None:
    (row,) = table("pitch", [*prompted(), *prompted(pitch_ratio=1.2)[:2], *prompted(pitch_ratio=None)[:1]])

    assert (row.figure, row.passed) == ("67%", False)


@pytest.mark.parametrize(
    ("late", "passed"),
    [({}, True), ({"word_errors": 1}, False), ({"voice_found": "bob"}, False)],
    ids=["the same", "more word errors", "another voice"],
)
def test_drift_is_what_the_last_five_turns_are_worse_than_the_first(late: dict[str, Any], passed: bool) -> None:
    spoken = [replace(GOOD, condition=Condition.ALONE, voice="ann", turn=turn) for turn in range(20)]
    spoken[15:] = [replace(item, **late) for item in spoken[15:]]

    alone, answered = table("turns", spoken)

    assert alone.passed is passed
    assert answered.figure == "not measured"


def test_parity_is_all_codes_and_nearly_the_same_word_error() -> None:
    alike = GreedyPair("text", None, ours=20, theirs=20, alike=20)
    heard = SampledReading("ten words", "ten words", words=100, word_errors=2)
    codes, words = table("parity", [GOOD], parity=Parity([alike] * 3, [heard]))
    fewer, _ = table("parity", [GOOD], parity=Parity([alike, replace(alike, alike=7)], [heard]))

    assert (codes.figure, codes.passed) == ("3 of 3", True)
    assert (words.figure, words.passed) == ("2.0%, ours 0.0%", True)
    assert (fewer.figure, fewer.passed) == ("1 of 2", False)
    (row,) = table("parity", [], parity="there is no processor")
    assert row.more == "there is no processor" and row.passed is None


def test_a_recording_that_the_codecs_round_differently_is_left_out_but_not_more_than_that() -> None:
    alike = GreedyPair("text", "ann", ours=20, theirs=20, alike=20, recorded=400)
    rounded = replace(alike, alike=9, otherwise=1)
    codes, _ = table("parity", [GOOD], parity=Parity([alike, rounded], []))
    strange, _ = table("parity", [GOOD], parity=Parity([alike, replace(rounded, otherwise=90)], []))

    assert (codes.figure, codes.passed) == ("1 of 1", True)
    assert "1 whose recordings differ in 1 of 800 codes" in codes.more
    assert strange.passed is False


def test_speed_on_one_core_is_processor_time() -> None:
    (row,) = table("speed", [], speed=Speed("cpu", 1, rtf=0.6, processor_rtf=0.12, first_sound_s=0.05))

    assert (row.figure, row.passed) == ("0.120", True)
    assert "wall clock 0.60" in row.more and "first sound after 50 ms" in row.more


def test_other_checkpoints_have_figures_but_no_goals() -> None:
    found = rows(["words", "endings"], [GOOD, *prompted(word_errors=9)], None, None, goals=False)

    assert all(row.figure and row.goal == "" and row.passed is None for row in found)
