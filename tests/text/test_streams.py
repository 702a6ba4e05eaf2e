"""A text that streams in gives the same pieces however it arrives, and nothing that belongs together is cut apart."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csm_plugin.errors import SettingsError
from csm_plugin.livekit.pieces import PieceCutter
from csm_plugin.text import MAX_PIECE_CHARACTERS, SentenceSplitter, is_speakable, normalize, split_sentences
from csm_plugin.text.hidden import ANNOUNCEMENT, HiddenText, shown

_TOGETHER = (
    "Dr. Smith",
    "Mr. and Mrs. Lee",
    "3.5 million",
    "$1.2 billion",
    "(555) 123-4567",
    "555-123-4567 ext. 12",
    "5 p.m.",
    "2 p.m. EST",
    "9:30 a.m. Monday",
    "No. 7",
    "Fig. 3",
    "May 5, 2026",
    "Dec. 22",
    "St. Louis",
    "J. R. Tolkien",
    "the U.S. Army",
    "12 oz. of milk",
    "6 ft. tall",
    "Apt. 4B",
    "45 Oak Dr.",
    "[our long guide, page two. And more](https://example.com/a/b)",
    '<a title="Hello, world. Yes">link</a>',
    "**9:00 a.m.**",
    "`a. b, c`",
    "20 kg",
    "1 1/2 cups",
    "vs. Jones",
    "e.g. apples",
    "[laughs softly]",
    "(sighs, then smiles)",
)
_FILLERS = (
    "and then we went on to the other side of the old town",
    "because nobody had told us where the road would end",
    "which was more than any of us had hoped for at the time",
    "while the children played in the garden behind the house",
    "but the people of the village did not want to hear of it",
    "so that everybody could see how much there was to do",
)
_HIDDEN = (
    "<think>One. Two, and\n\nthree.</think>",
    "\n```python\nx = 1. y = 2\n\nz\n```\n",
    '<tool_call>{"a": 1}</tool_call>',
)
_TOKENS = (
    *(
        " ",
        "\n",
        "a",
        "b. ",
        "Dr. ",
        "5 p.m. ",
        "EST",
        "We ",
        "no. ",
        "3 ",
        "people ",
        "```",
        "```\n",
        "~~~\n",
        "<think>",
        "</think>",
    ),
    *(
        "<",
        ">",
        "`",
        "[",
        "](",
        ")",
        "(",
        ", ",
        "U.S. ",
        "It ",
        "**",
        '"',
        '<a b="',
        "- ",
        "—",
        "12 oz. ",
        "ext. ",
        "Main St. ",
        "!",
    ),
)


def long_text(rng: random.Random) -> str:
    """Sentences of which some are 200 to 600 characters long, full of things that belong together."""
    sentences = []
    for _ in range(rng.randint(3, 6)):
        words, length = ["I said"], rng.choice((40, 250, 400, 550))
        while sum(map(len, words)) < length:
            words += [rng.choice(_FILLERS), rng.choice(_TOGETHER), "and"]
        sentences.append(" ".join([*words, "that was all."]))
        if rng.random() < 0.3:
            sentences.append(rng.choice(_HIDDEN))
    return " ".join(sentences)


def arrivals(text: str, rng: random.Random, ways: int) -> list[list[str]]:
    """A text cut into deltas in several ways, character by character among them."""
    cut = [list(text)]
    for _ in range(ways):
        edges = sorted({0, len(text), *(rng.randrange(len(text)) for _ in range(rng.choice((3, 30, 200))))})
        cut.append([text[start:end] for start, end in itertools.pairwise(edges)])
    return cut


def stream(deltas: list[str], *, early: bool = True) -> list[str]:
    splitter = SentenceSplitter(early=early)
    return [piece for delta in deltas for piece in splitter.feed(delta)] + splitter.flush()


@pytest.mark.parametrize("seed", range(100))
def test_a_long_text_has_the_same_pieces_in_whatever_parts_it_comes(seed: int) -> None:
    rng = random.Random(seed)
    text = long_text(rng)
    whole = stream([text])
    assert all(stream(deltas) == whole for deltas in arrivals(text, rng, 6))
    assert all(len(piece) <= MAX_PIECE_CHARACTERS for piece in whole)


@pytest.mark.parametrize("seed", range(100))
def test_nothing_that_belongs_together_is_cut_apart(seed: int) -> None:
    text = long_text(random.Random(seed))
    for pieces in (stream([text]), split_sentences(text)):
        together = "\n".join(pieces)
        for thing in _TOGETHER:
            assert together.count(thing) == " ".join(shown(text).split()).count(thing), thing


@pytest.mark.parametrize("thing", _TOGETHER)
def test_a_sentence_that_is_too_long_is_not_cut_inside_a_thing(thing: str) -> None:
    for before in range(150, 206):
        words = ("lorem ipsum dolor sit " * 12)[:before].rstrip()
        text = f"{words} {thing} and so on and on for some more of the words that this needs to be long enough."
        assert any(thing in piece for piece in split_sentences(text)), before


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(_TOKENS), max_size=80).map("".join), st.randoms(use_true_random=False), st.booleans())
def test_signs_that_begin_something_never_make_pieces_depend_on_the_deltas(
    text: str, rng: random.Random, early: bool
) -> None:
    whole = stream([text], early=early)
    assert stream(list(text), early=early) == whole
    if text:
        assert all(stream(deltas, early=early) == whole for deltas in arrivals(text, rng, 3))
    assert "".join("".join(whole).split()) == "".join(shown(text).split())


@settings(deadline=None)
@given(st.lists(st.sampled_from(_TOKENS), max_size=60).map("".join), st.integers(1, 7))
def test_a_transcript_keeps_what_is_hidden(text: str, size: int) -> None:
    cutter = PieceCutter()
    pieces = [piece for at in range(0, len(text), size) for piece in cutter.feed(text[at : at + size])]
    joined = "".join(piece.written for piece in [*pieces, *cutter.flush()])
    assert text.startswith(joined)
    assert "".join(shown(text[len(joined) :]).split()) == "" or shown(text).strip() == ""


class TestHiddenText:
    def test_thinking_that_is_longer_than_any_piece_is_not_spoken(self) -> None:
        thinking = "<think>\n" + "I wonder, and wonder. " * 200 + "\n</think>\n\n"
        assert stream(list(thinking + "Hello there. Bye.")) == ["Hello there.", "Bye."]

    def test_what_never_closes_hides_nothing_of_the_next_text(self) -> None:
        splitter = SentenceSplitter()
        assert splitter.feed("Hi. <think>never closed") + splitter.flush() == ["Hi."]
        assert splitter.feed("Next one. Bye.") + splitter.flush() == ["Next one.", "Bye."]

    def test_an_interruption_ends_it(self) -> None:
        splitter = SentenceSplitter()
        splitter.feed("<think>never closed")
        splitter.reset()
        assert splitter.feed("Next one. ") == ["Next one."]

    @pytest.mark.parametrize(
        ("code", "pieces"),
        [
            ("skip", ["Look:", "That is it."]),
            ("announce", ["Look:", ANNOUNCEMENT, "That is it."]),
            ("read", ["Look:", "```", "x = y", "```", "That is it."]),
        ],
    )
    def test_fenced_code_is_skipped_announced_or_read(self, code: object, pieces: list[str]) -> None:
        text = "Look:\n```\nx = y\n```\nThat is it."
        assert split_sentences(text, code=code) == pieces  # type: ignore[arg-type]
        spoken = " ".join(normalize(piece, code="read") for piece in pieces if is_speakable(piece))
        assert normalize(text, code=code).replace(":", "") == spoken.replace(":", "")  # type: ignore[arg-type]

    def test_another_way_to_read_code_is_refused(self) -> None:
        with pytest.raises(SettingsError, match="skip, announce, read"):
            HiddenText("sing")  # type: ignore[arg-type]

    def test_a_line_of_tildes_under_a_heading_is_no_code(self) -> None:
        assert split_sentences("News\n~~~~~~\nAll is well.")[-1] == "All is well."

    def test_code_within_a_line_is_read(self) -> None:
        assert normalize("Use ```ls``` here.") == "Use ls here."
