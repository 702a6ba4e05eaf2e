"""The ledger alone: no model, no threads."""

from __future__ import annotations

import numpy as np
import pytest

from csm_plugin.conversation import Entry, Ledger, Word
from csm_plugin.conversation.heard import heard_text
from csm_plugin.settings import TEXT

CODEBOOKS = 4


def tokenize(text: str, speaker: int) -> np.ndarray:
    return np.array([1, speaker, *(ord(c) for c in text), 2], dtype=np.int32)


def entry(text: str, frames: int, lead: int = 0, speaker: int = 0) -> Entry:
    codes = [np.full(CODEBOOKS, 10 + number, dtype=np.int32) for number in range(frames)]
    return Entry(speaker, text, tokenize(text, speaker), codes, lead)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(CODEBOOKS, tokenize)


def test_a_segment_is_its_text_its_frames_and_a_closing_frame_of_zeros(ledger: Ledger) -> None:
    ledger.append(entry("hi", 2))
    positions = ledger.positions()
    assert positions[:, 0].tolist() == [1, 0, ord("h"), ord("i"), 2, TEXT, TEXT, TEXT]
    assert (positions[:5, 1:] == TEXT).all()
    assert positions[5:, 1].tolist() == [10, 11, 0]
    assert ledger.length == len(positions)


def test_an_empty_ledger_has_no_positions(ledger: Ledger) -> None:
    assert ledger.positions().shape == (0, 1 + CODEBOOKS)


def test_the_voice_prompt_comes_first_and_is_no_segment(ledger: Ledger) -> None:
    ledger.append(entry("hi", 2))
    ledger.set_prompt(entry("voice", 3))
    assert ledger.positions()[:7, 0].tolist() == [1, 0, *map(ord, "voice")]
    assert ledger.prompt_length == 2 + 5 + 1 + 3 + 1
    assert [segment.text for segment in ledger.segments] == ["hi"]
    ledger.set_prompt(None)
    assert ledger.prompt_length == 0


def test_a_cut_counts_from_the_first_delivered_frame_over_the_whole_turn(ledger: Ledger) -> None:
    ledger.append(entry("before", 5))
    ledger.begin_turn()
    ledger.append(entry("one two", 10, lead=3))
    ledger.append(entry("three four", 10))
    ledger.append(entry("five six", 10))
    ledger.cut_turn(heard_s=12 * 0.08)
    assert [(s.text, len(s.codes)) for s in ledger.segments] == [("before", 5), ("one two", 10), ("three", 5)]


def held(ledger: Ledger) -> list[tuple[str, int]]:
    assert ledger.length == len(ledger.positions())
    return [(segment.text, len(segment.codes)) for segment in ledger.segments]


def test_what_was_withdrawn_counts_only_for_what_came_after_it(ledger: Ledger) -> None:
    entries = [entry("one two", 10), entry("three four", 10), entry("five six", 10)]
    for one in entries:
        ledger.append(one)
    ledger.remove(entries[1])
    assert held(ledger) == [("one two", 10), ("five six", 10)]
    ledger.cut_turn(heard_s=25 * 0.08)
    assert held(ledger) == [("one two", 10), ("five", 5)]


def test_an_end_that_was_withdrawn_takes_nothing_from_what_came_before_it(ledger: Ledger) -> None:
    ledger.append(entry("one two", 10))
    ledger.append(last := entry("three", 1))
    ledger.remove(last)
    ledger.cut_turn(heard_s=10 * 0.08)
    assert held(ledger) == [("one two", 10)]


def test_a_turn_that_is_waited_for_has_its_place_and_takes_no_positions(ledger: Ledger) -> None:
    ledger.append(entry("one two", 10))
    turn = entry("hm", 0, speaker=1)
    ledger.hold(turn)
    ledger.hold(turn)
    ledger.append(entry("three four", 10))
    assert held(ledger) == [("one two", 10), ("three four", 10)]
    ledger.cut_turn(heard_s=5 * 0.08)
    ledger.add_turn(turn, [np.ones(CODEBOOKS, np.int32)])
    assert held(ledger) == [("one two", 10), ("hm", 1), ("three", 5)]


def test_a_cut_turn_is_over(ledger: Ledger) -> None:
    ledger.append(entry("one two", 10))
    ledger.cut_turn(heard_s=0.8)
    ledger.append(entry("three", 10))
    ledger.cut_turn(heard_s=0)
    assert [segment.text for segment in ledger.segments] == ["one two"]


def test_a_cut_text_is_tokenized_again(ledger: Ledger) -> None:
    ledger.append(entry("one two", 10))
    ledger.cut_turn(heard_s=0.4)
    assert ledger.positions()[:6, 0].tolist() == tokenize("one", 0).tolist()


def test_a_turn_is_cut_at_the_times_of_its_words_where_there_are_any(ledger: Ledger) -> None:
    timed = entry("a bee sees", 20, lead=2)
    timed.words = [Word("a", 0.0, 0.1), Word("bee", 0.1, 1.2), Word("sees", 1.2, 1.4)]
    ledger.append(timed)
    ledger.cut_turn(heard_s=0.56)
    assert [(s.text, len(s.codes)) for s in ledger.segments] == [("a", 9)]
    assert timed.words == [Word("a", 0.0, 0.1)]


def test_a_text_cut_twice_keeps_what_was_heard_both_times(ledger: Ledger) -> None:
    timed = entry("a bee sees us", 20)
    timed.words = [Word("a", 0.0, 0.1), Word("bee", 0.1, 0.5), Word("sees", 0.5, 0.9)]
    ledger.append(timed)
    assert ledger.cut(timed, 10, ended=False)
    assert (timed.text, len(timed.words)) == ("a bee sees", 3)
    ledger.cut_turn(heard_s=0.4)
    assert (timed.text, len(timed.words)) == ("a bee", 2)


def test_of_a_text_that_was_not_spoken_to_its_end_the_told_words_stay(ledger: Ledger) -> None:
    timed = entry("a bee sees us", 20)
    ledger.append(timed)
    timed.words = [Word("a", 0.0, 0.1), Word("bee", 0.1, 0.5)]
    assert ledger.cut_to_words(timed)
    assert timed.text == "a bee" and timed.tokens.tolist() == tokenize("a bee", 0).tolist()
    timed.words = []
    assert not ledger.cut_to_words(timed)


def test_sound_without_a_word_leaves_nothing(ledger: Ledger) -> None:
    ledger.append(entry("extraordinary", 20))
    ledger.cut_turn(heard_s=0.08)
    assert ledger.segments == ()


def test_eviction_takes_the_oldest_and_spares_prompt_and_last(ledger: Ledger) -> None:
    ledger.set_prompt(entry("voice", 3))
    for text in ("a", "b", "c", "d"):
        ledger.append(entry(text, 10))
    assert ledger.evict(keep=ledger.length - 1) == 1
    assert [segment.text for segment in ledger.segments] == ["b", "c", "d"]
    assert ledger.evict(keep=0) == 2
    assert [segment.text for segment in ledger.segments] == ["d"]
    assert ledger.evict(keep=0, spare_last=False) == 1
    assert ledger.length == ledger.prompt_length


def test_eviction_keeps_track_of_the_current_turn(ledger: Ledger) -> None:
    ledger.append(entry("old", 10))
    ledger.begin_turn()
    ledger.append(entry("new one", 10))
    ledger.append(entry("new two", 10))
    ledger.evict(keep=ledger.length - 1)
    ledger.cut_turn(heard_s=0.8)
    assert [segment.text for segment in ledger.segments] == ["new one"]


@pytest.mark.parametrize(
    ("heard_s", "spoken_s", "expected"),
    [
        (0.0, 2.0, ""),
        (2.0, 2.0, "one two three four"),
        (9.0, 2.0, "one two three four"),
        (1.0, 2.0, "one two"),
        (0.2, 2.0, "one"),
        (0.5, None, "one two"),
        (99.0, None, "one two three four"),
    ],
)
def test_words_are_heard_in_proportion_to_time(heard_s: float, spoken_s: float | None, expected: str) -> None:
    assert heard_text("one two three four", heard_s, spoken_s) == expected


def test_what_left_the_turn_still_counts_as_heard_time(ledger: Ledger) -> None:
    gone = entry("one two", 10)
    ledger.append(gone)
    ledger.append(entry("three four", 10))
    ledger.append(entry("five six", 10))
    ledger.remove(gone)
    ledger.evict(keep=ledger.length - 1)
    ledger.cut_turn(heard_s=25 * 0.08)
    assert [(s.text, len(s.codes)) for s in ledger.segments] == [("five", 5)]
