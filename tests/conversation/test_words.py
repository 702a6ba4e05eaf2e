"""Words of a text, and which of them were heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csm_plugin.conversation import Word, split_words
from csm_plugin.conversation.heard import heard_text

TEXT = "One, two three four."
WORDS = [Word("One,", 0.0, 0.4), Word("two", 0.5, 0.7), Word("three", 0.7, 1.5)]


@given(st.text(alphabet=" ab.\n\t"))
def test_words_joined_with_spaces_are_the_text(text: str) -> None:
    words = split_words(text)
    assert " ".join(words) == text
    assert all(word.strip(" ") for word in words) or not text.strip(" ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("One, two.", ["One,", "two."]),
        ("a  b", ["a ", "b"]),
        (" a b ", [" a", "b "]),
        ("a\nb c", ["a\nb", "c"]),
        ("", [""]),
    ],
)
def test_white_space_that_is_not_a_single_space_stays_with_a_word(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("heard_s", "spoken_s", "expected"),
    [
        (0.0, 2.0, ""),
        (0.19, 2.0, ""),
        (0.21, 2.0, "One,"),
        (0.59, 2.0, "One,"),
        (0.61, 2.0, "One, two"),
        (1.05, 2.0, "One, two"),
        (1.12, 2.0, "One, two three"),
        (1.67, 2.0, "One, two three"),
        (1.69, 2.0, TEXT),
        (2.0, 2.0, TEXT),
        (1.6, None, "One, two three"),
        (1.75, None, TEXT),
        (9.0, None, TEXT),
    ],
)
def test_a_word_counts_once_half_of_it_was_heard(heard_s: float, spoken_s: float | None, expected: str) -> None:
    assert heard_text(TEXT, heard_s, spoken_s, WORDS) == expected


def test_behind_the_words_whose_end_is_known_one_more_may_have_begun() -> None:
    assert heard_text(TEXT, 0.9, None, WORDS[:1]) == "One, two"
    assert heard_text(TEXT, 9.0, None, WORDS[:1]) == "One, two"
    assert heard_text(TEXT, 1.1, None) == "One, two three"


def test_silence_behind_the_last_word_is_not_needed_to_have_heard_it() -> None:
    words = [*WORDS, Word("four.", 1.5, 1.9)]
    assert heard_text(TEXT, 1.75, 2.4, words) == TEXT
    assert heard_text(TEXT, 1.65, 2.4, words) == "One, two three"
