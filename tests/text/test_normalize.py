"""Text becomes plain words, or is refused before anything is spent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csm_plugin.errors import TextError
from csm_plugin.text import MAX_TEXT_CHARACTERS, is_speakable, normalize
from tests.growth import is_linear

HOSTILE = (
    *"* [ < <a <!-- 1 1, 1- [a]( a@ _ &#9 ( | $1 . 10:30 x.com/ http:// ' a= A. [[a] ` # 😀 \ufdfa".split(),
    *("> ", "- ", "- \n", "1 ", "ABC ", "<a b=c ", "\n", "a&b ", "<think>", "```\n", "~~~", "[laugh", "(sighs", "$1-"),
    *"$\\frac{ \\[ \\( x^ ^ 1/ 5'11\" +1 555- 1.1. 9am- Jan Mon- I VI A1 AB12 aB A_B --a a() <= >1 √ ½ x²".split(),
    *(
        "1/2 ",
        '12" ',
        "(555) ",
        "May 5-",
        "Chapter I ",
        "Henry V ",
        "12 Oak St ",
        "no. 3 ",
        "order number is ",
        "call ",
    ),
    *("PIN: ", "5 kg/", "p.m. ", "U.S. ", "w/", "STOP IT ", "text a to ", "1 2 3 4 ", "ending in ", "5 - 3 ", "USD 5 "),
    *("$x$", "20€ ", "2024-", "12/25/", "1e5", "<|a", "<li>", "Dr. ", "ext. ", "5551234567", "1,000,", "press # "),
)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hello, **world**! It's _really_ `nice`.", "Hello, world! It's really nice."),
        ("# News\n\nSome text\n- one thing\n- more\n\nEnd", "News. Some text. one thing. more. End"),
        ("1. Open it\n2. Close it", "one, Open it. two, Close it"),
        ("See [our docs](https://a.com/b_(c)) or ![a cat](c.png).", "See our docs or a cat."),
        ("| a | b |\n|---|---|\n| c | d |", "a, b. c, d"),
        ('<b>bold</b> &amp; <a href="x">link</a><br/>', "bold and link"),
        ("a<b and c", "a b and c"),
        ("Mail bob.smith@example.co.uk!", "Mail bob dot smith at example dot co dot uk!"),
        ("Go to https://www.example.com/docs?x=1.", "Go to example dot com slash docs."),
        ("😀 hi 👩‍👩‍👧 there ❤️ ©", "hi there"),
        ("Wow!!! Really?!?! Hmm..... ok,, (yes) — so", "Wow! Really? Hmm... ok, yes, so"),
        ("“Curly” ‘quotes’ and it’s", "Curly quotes and it's"),
        ("snake_case and rock 'n' roll", "snake case and rock n roll"),
        ("Hello.How are you", "Hello. How are you"),
        ("first\n\n\tsecond   third", "first. second third"),
    ],
)
def test_markup_symbols_and_odd_punctuation_are_taken_out(text: str, spoken: str) -> None:
    assert normalize(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("3 cats", "three cats"),
        ("1,234 cats", "one thousand two hundred and thirty-four cats"),
        ("3.14", "three point one four"),
        ("-5 and −0.5", "minus five and minus zero point five"),
        ("the 21st", "the twenty-first"),
        ("12% of 5.5 %", "twelve percent of five point five percent"),
        ("$3.50", "three dollars and fifty cents"),
        ("$1", "one dollar"),
        ("£1,234.05", "one thousand two hundred and thirty-four pounds and five pence"),
        ("€3.5 million", "three point five million euros"),
        ("in 1999", "in nineteen ninety-nine"),
        ("2026 was", "twenty twenty-six was"),
        ("1500 cats", "one thousand five hundred cats"),
        ("the 1990s", "the nineteen nineties"),
        ("on 2024-05-06", "on May sixth, twenty twenty-four"),
        ("on Jan. 5, 2026", "on January fifth, twenty twenty-six"),
        ("at 10:30", "at ten thirty"),
        ("at 9:05 a.m. or 5pm", "at nine oh five A M or five P M"),
        ("at 12:00", "at twelve o'clock"),
        ("10-20 km/h", "ten to twenty kilometers per hour"),
        ("2 × 3 or 4x", "two times three or four times"),
        ("2+2=4", "two plus two equals four"),
        ("1/2 or 24/7", "one half or twenty-four seven"),
        ("16:9", "sixteen to nine"),
        ("007", "zero zero seven"),
        ("v1.2.3", "one point two point three"),
        ("abc123", "abc one hundred and twenty-three"),
        ("555-1234", "five five five, one two three four"),
        ("٣", "three"),
    ],
)
def test_numbers_are_put_into_words(text: str, spoken: str) -> None:
    assert normalize(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Dr. Smith vs. Mr. Jones, i.e. friends etc.", "Doctor Smith versus Mister Jones, that is friends et cetera."),
        ("St. Peter of Main St. No. 5", "Saint Peter of Main Street Number five"),
        ("No. It is in the U.S. army.", "No. It is in the U S army."),
        ("STOP doing that, it is VERY IMPORTANT", "stop doing that, it is very important"),
        ("I AM SO ANGRY. AM I?", "I am so angry. am I?"),
        ("NASA has an API over HTTP", "NASA has an A P I over H T T P"),
        ("Mr. & Mrs. O'Brien came at 10 a.m.", "Mister and Missus O'Brien came at ten A M."),
        ("R&D and/or World War II", "R and D and or World War two"),
    ],
)
def test_abbreviations_and_capitals_are_made_sayable(text: str, spoken: str) -> None:
    assert normalize(text) == spoken


@pytest.mark.parametrize("text", ["plain words stay as they are", "Is it? Yes, it's fine; well-known: ok... no!"])
def test_plain_english_is_left_alone(text: str) -> None:
    assert normalize(text) == text


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_text_becomes_plain_or_is_refused(text: str) -> None:
    if not is_speakable(text):
        with pytest.raises(TextError):
            normalize(text)
        return
    spoken = normalize(text)
    assert all(letter.isalnum() or letter in ".,!?;:'- " for letter in spoken)
    assert spoken == " ".join(spoken.split())
    assert not any(digit in spoken for digit in "0123456789")


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from(list("aB1 .,-$%:/@#*_`~[]()<>|&+x\n'\"")), max_size=200))
def test_text_made_of_signs_never_breaks_it(text: str) -> None:
    assert is_speakable(text) in (True, False)


@pytest.mark.parametrize(
    ("given_text", "told"),
    [
        (None, "NoneType"),
        (b"bytes", "bytes"),
        (3, "int"),
        (["list"], "list"),
        ("", "empty"),
        (" \n\t ", "blank"),
        ("😀 !!! --- ```", "13 characters"),
        ("a" * 100_000, "100,000 characters"),
        ("a" * (MAX_TEXT_CHARACTERS + 1), "4,096"),
    ],
)
def test_what_cannot_be_spoken_is_refused_and_the_error_says_what_was_given(given_text: Any, told: str) -> None:
    with pytest.raises(TextError, match=told):
        normalize(given_text)


def test_the_longest_allowed_text_is_normalized() -> None:
    assert normalize("a" * MAX_TEXT_CHARACTERS)


def test_an_error_never_holds_the_text() -> None:
    with pytest.raises(TextError) as refused:
        normalize("secret " * 1_000)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["🎉", "---", "```", "<br>", "&nbsp;", "...", "$", "&", "https://", "\ud800", "![]()"])
def test_what_holds_no_letter_or_digit_is_unspeakable(text: str) -> None:
    assert not is_speakable(text)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_characters_take_linear_time(hostile: str) -> None:
    assert is_linear(lambda characters: is_speakable(hostile * (characters // len(hostile))), 2_000)
