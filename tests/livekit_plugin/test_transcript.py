"""Written words and their times; pieces that lose nothing; what was heard of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csm_plugin.conversation.words import Word
from csm_plugin.livekit.pieces import PieceCutter
from csm_plugin.livekit.takes import SpokenPiece, Take, heard_frames
from csm_plugin.livekit.transcript import PieceTranscript, TimedToken, align
from csm_plugin.settings import FRAME_S
from csm_plugin.text import is_speakable, normalize
from tests.scripted_engine import words_of

TEXTS = st.text(alphabet="ab1 .,!?\n$*😀-—'é", max_size=80)


def spoken_piece(written: str, start_s: float = 0.0) -> SpokenPiece:
    """A piece that was spoken to its end, a frame a character."""
    text = normalize(written)
    seconds = len(text) * FRAME_S
    piece = SpokenPiece(text, PieceTranscript(written, text), start_s, frames=len(text))
    piece.words = words_of(text, seconds)
    return piece


def take_of(*written: str) -> Take:
    take = Take(None)  # type: ignore[arg-type]
    for text in written:
        take.pieces.append(spoken_piece(text, take.seconds))
        take.seconds += take.pieces[-1].frames * FRAME_S
    return take


class TestPieces:
    @given(TEXTS, st.data())
    def test_joined_are_the_text_however_it_arrived(self, text: str, data: st.DataObject) -> None:
        cutter = PieceCutter()
        pieces, at = [], 0
        while at < len(text):
            size = data.draw(st.integers(1, 9))
            pieces += cutter.feed(text[at : at + size])
            at += size
        pieces += cutter.flush()
        joined = "".join(piece.written for piece in pieces)
        assert text.startswith(joined) and not text[len(joined) :].strip()
        assert bool(pieces) == bool(text.strip())
        assert all(piece.text == piece.text.strip() != "" for piece in pieces)

    def test_keep_the_white_space_before_them(self) -> None:
        cutter = PieceCutter()
        pieces = cutter.feed("  One.  Two") + cutter.flush()
        assert [(piece.text, piece.written) for piece in pieces] == [("One.", "  One."), ("Two", "  Two")]


class TestAlignment:
    @pytest.mark.parametrize(
        ("written", "counts"),
        [
            ("It costs $23.50 now, Dr. Smith.", [1, 2, 7, 8, 9, 10]),
            ("Hello 😀 there — ok?", [1, 1, 2, 2, 3]),
            ("😀 Hi", [0, 1]),
            ("ask NASA or the API", [1, 2, 3, 4, 7]),
            ("**bold** move", [1, 2]),
            ("at https://example.com now", [1, 4, 5]),
        ],
    )
    def test_tells_how_many_spoken_words_make_a_written_one(self, written: str, counts: list[int]) -> None:
        assert [token.words for token in align(written, normalize(written).split(" "))] == counts

    @given(TEXTS)
    def test_never_falls_and_ends_with_the_last_spoken_word(self, written: str) -> None:
        spoken = normalize(written).split(" ") if is_speakable(written) and written.strip() else []
        tokens = align(written, spoken)
        counts = [token.words for token in tokens]
        assert counts == sorted(counts) and "".join(token.text for token in tokens) == (written if tokens else "")
        assert not tokens or counts[-1] == len(spoken)


class TestTimes:
    def test_of_a_written_word_are_those_of_its_spoken_ones(self) -> None:
        transcript = PieceTranscript("Pay $5 now", "Pay five dollars now")
        assert transcript.hear([Word("Pay", 0.0, 0.3), Word("five", 0.3, 0.6)]) == [TimedToken("Pay", 0.0, 0.3)]
        assert transcript.hear([Word("dollars", 0.6, 1.0)]) == [TimedToken(" $5", 0.3, 1.0)]
        assert transcript.hear([Word("now", 1.1, 1.5)]) == [TimedToken(" now", 1.1, 1.5)]
        assert transcript.finish(2.0) == []

    def test_that_never_came_share_the_rest_of_the_sound(self) -> None:
        transcript = PieceTranscript("one two three", "one two three")
        transcript.hear([Word("one", 0.0, 0.4)])
        assert transcript.finish(1.0) == [TimedToken(" two", 0.4, 0.7), TimedToken(" three", 0.7, 1.0)]

    def test_of_what_is_not_spoken_take_no_time(self) -> None:
        assert PieceTranscript("😀", "").finish(0.0) == [TimedToken("😀", 0.0, 0.0)]


class TestWhatWasHeard:
    def test_follows_what_was_recorded_where_the_clock_disagrees_a_little(self) -> None:
        take = take_of("One two three.", " Four five.")
        recorded = "One two"
        for played_s in (0.3, 0.6, 0.9):
            frames = heard_frames([take], [played_s], recorded)
            assert take.pieces[0]._words_in(frames) == 2

    def test_follows_the_clock_where_the_record_is_of_another_text(self) -> None:
        take = take_of("One two three.", " Four five.")
        assert heard_frames([take], [0.8], "Something else") == 10
        assert heard_frames([take], [0.8], "One two three. Four five. Six.") == 10

    def test_goes_on_into_the_second_piece(self) -> None:
        take = take_of("One two three.", " Four five.")
        frames = heard_frames([take], [14 * FRAME_S + 0.3], "One two three. Four")
        assert 14 < frames < 24 and take.pieces[1]._words_in(frames - 14) == 1

    def test_is_nothing_of_what_was_not_played(self) -> None:
        first, second = take_of("One two."), take_of(" Three four.")
        assert heard_frames([first, second], [0.64], "One two.") == 8
        assert heard_frames([first, second], [], "") == 0

    def test_skips_attempts_without_sound(self) -> None:
        failed, good = Take(None), take_of("One two.")  # type: ignore[arg-type]
        assert heard_frames([failed, good], [0.4], "One") in range(3, 6)

    @given(st.integers(0, 24), st.floats(0, 3))
    def test_has_the_recorded_words_whenever_whole_words_were_recorded(self, count: int, played_s: float) -> None:
        written = ["It costs $5 today.", " That is cheap, I think."]
        take = take_of(*written)
        tokens = [token for piece in take.pieces for token in piece.transcript.tokens]
        count = min(count, len(tokens))
        frames = heard_frames([take], [played_s], "".join(token.text for token in tokens[:count]))
        left, words = frames, 0
        for piece in take.pieces:
            words += piece._words_in(min(left, piece.frames))
            left -= min(left, piece.frames)
        first = len(take.pieces[0].transcript.tokens)
        spoken = sum(t.words for t in tokens[count - 1 : count]) + (len(take.pieces[0].words) if count > first else 0)
        assert words == spoken
