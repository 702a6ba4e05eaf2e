"""The splitter gives sentences early, wherever the deltas happen to end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csm_plugin.text import MAX_PIECE_CHARACTERS, SentenceSplitter, split_sentences
from csm_plugin.text.hidden import shown
from tests.growth import is_linear

_PROSE = st.text(alphabet=st.sampled_from(list("ab Ii.DrU!?,;:\n-—3\"')*#1…`。")), max_size=600)
_TEXT = st.one_of(st.text(max_size=300), _PROSE)


def stream(deltas: list[str], *, early: bool = True) -> list[str]:
    splitter = SentenceSplitter(early=early)
    pieces = [piece for delta in deltas for piece in splitter.feed(delta)]
    return pieces + splitter.flush()


def cut_at(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in itertools.pairwise(edges)]


@settings(deadline=None)
@given(_TEXT, st.lists(st.integers(0, 10_000), max_size=40))
def test_nothing_but_white_space_is_lost_however_the_text_arrives(text: str, cuts: list[int]) -> None:
    pieces = stream(cut_at(text, cuts))
    assert "".join("".join(pieces).split()) == "".join(shown(text).split())
    assert all(piece.strip() == piece and piece for piece in pieces)


@settings(deadline=None)
@given(_TEXT, st.lists(st.integers(0, 10_000), max_size=40), st.booleans())
def test_the_pieces_depend_on_the_text_and_not_on_the_deltas(text: str, cuts: list[int], early: bool) -> None:
    whole = stream([text], early=early)
    assert stream(cut_at(text, cuts), early=early) == whole
    assert stream(list(text), early=early) == whole


@settings(deadline=None)
@given(st.one_of(_TEXT, st.text(alphabet='a .\n!"', max_size=2_000)))
def test_no_piece_is_longer_than_the_limit(text: str) -> None:
    assert all(len(piece) <= MAX_PIECE_CHARACTERS for piece in split_sentences(text))


@pytest.mark.parametrize("delta", ["a", "!", '"', " ", "\n", "- ", ". ", "1.", "…", "`"])
def test_the_splitter_never_holds_back_more_than_a_piece_and_its_look_ahead(delta: str) -> None:
    splitter = SentenceSplitter()
    fed = sum(len("".join(piece.split())) for _ in range(2_000) for piece in splitter.feed(delta))
    assert len("".join(delta.split())) * 2_000 - fed <= MAX_PIECE_CHARACTERS + 64


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
        ("Pi is 3.14 or so. Then.", ["Pi is 3.14 or so.", "Then."]),
        ("Dr. J. Smith came, e.g. today. Good.", ["Dr. J. Smith came, e.g. today.", "Good."]),
        ("At 5 p.m. in the U.S. army. At 6 p.m. The end.", ["At 5 p.m. in the U.S. army.", "At 6 p.m.", "The end."]),
        ("No. 5 is alive. No. I don't. Stop.", ["No. 5 is alive.", "No.", "I don't.", "Stop."]),
        ("Well... maybe. Well... Maybe.", ["Well... maybe.", "Well...", "Maybe."]),
        ('"Really?" she asked. "Yes." He left.', ['"Really?" she asked.', '"Yes."', "He left."]),
        ("(He did.) It is **done.** Good.", ["(He did.)", "It is **done.**", "Good."]),
        ("See https://a.com/b?c=d. Or b.com, ok. Bye.", ["See https://a.com/b?c=d.", "Or b.com, ok.", "Bye."]),
        (
            "To do:\n1. Wash up\n2. Dry\n- later\n\nThen rest",
            ["To do:", "1. Wash up", "2. Dry", "- later", "Then rest"],
        ),
        ("A line that is\nwrapped softly. Next", ["A line that is\nwrapped softly.", "Next"]),
        ("# Title\nBody text", ["# Title", "Body text"]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_whole_texts_are_cut_into_sentences(text: str, pieces: list[str]) -> None:
    assert split_sentences(text) == pieces


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("I really think so, yes, but who knows. Bye.", "I really think so,"),
        ("I really think so — yes. Bye.", "I really think so —"),
        ("I really think so; yes. Bye.", "I really think so;"),
        ("I think that - well - yes. Bye.", "I think that -"),
        ("Well, I do not know. Bye.", "Well, I do not know."),
        ("It is 1,000,000 or more of them, at least.", "It is 1,000,000 or more of them,"),
        ("It starts at 10:30 today. Bye.", "It starts at 10:30 today."),
        ("We met on May 5, 2026 in Rome. Bye.", "We met on May 5, 2026 in Rome."),
    ],
)
def test_the_first_clause_goes_out_early_once_it_is_long_enough(text: str, first: str) -> None:
    assert stream([text])[0] == first


def test_only_the_first_clause_of_a_reply_is_cut_early() -> None:
    assert stream(["I really think so, yes. You, and I, and they, know it."])[2:] == ["You, and I, and they, know it."]


def test_a_short_exclamation_does_not_use_up_the_early_clause() -> None:
    assert stream(["Sure! I can help with that, of course."])[:2] == ["Sure!", "I can help with that,"]


def test_a_sentence_goes_out_with_the_white_space_after_its_full_stop() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("Hello there.") == []
    assert splitter.feed(" ") == ["Hello there."]


def test_flushing_ends_the_reply_and_the_next_one_has_an_early_clause_again() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("One two three, four") == ["One two three,"]
    assert splitter.flush() == ["four"]
    assert splitter.feed("Five six seven, eight") == ["Five six seven,"]


def test_reset_forgets_what_was_held_back() -> None:
    splitter = SentenceSplitter()
    splitter.feed("never spoken")
    splitter.reset()
    assert splitter.flush() == []


def test_long_sentences_are_cut_at_a_clause_or_else_between_words() -> None:
    clause = "word " * 30 + "end, " + "more " * 30
    assert split_sentences(clause)[0].endswith("end,")
    assert all(piece.endswith("word") for piece in split_sentences("word " * 200))


@pytest.mark.parametrize(
    "hostile",
    [
        "a",
        ". ",
        "!",
        "\n- ",
        "Dr. ",
        "**",
        ", ",
        "<think>",
        "```\n",
        "~~~",
        "[",
        "](",
        '<a b="',
        "`",
        "no. 3 ",
        "5 p.m. ",
        "(",
    ],
)
def test_text_is_cut_in_linear_time(hostile: str) -> None:
    assert is_linear(lambda characters: split_sentences(hostile * (characters // len(hostile))), 2_000)
