"""From where a voice is in its text to the times of words: no model, no threads."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csm_plugin.conversation import Word
from csm_plugin.conversation.durations import Pace, expected_s
from csm_plugin.engine.word_times.loudness import speech_s
from csm_plugin.settings import FRAME_S
from tests.engine.performances import LETTER_S, NOISE, Performance, perform, script_of

TEXT = "Well, the quick brown fox jumps over a lazy dog. It is seventy five years old, they say."
PAUSES = {0: 0.3, 9: 0.5, 14: 0.25}


def joined(words: list[Word]) -> str:
    return " ".join(word.text for word in words)


def errors_s(performance: Performance, words: list[Word]) -> np.ndarray:
    """Return how far off starts and ends are, [2 * words]."""
    told = [(word.start_s, word.end_s) for word in words]
    return np.abs(np.ravel(told) - np.ravel(list(zip(performance.starts_s, performance.ends_s, strict=True))))


def all_words(frames: list[list[Word]], late: list[Word]) -> list[Word]:
    return [*chain.from_iterable(frames), *late]


def test_attention_tells_when_words_begin_and_end() -> None:
    performance = Performance.of(TEXT, PAUSES)
    words = all_words(*perform(performance, performance.tokens()))
    assert joined(words) == TEXT
    assert np.median(errors_s(performance, words)) < 0.02 and errors_s(performance, words).max() < 0.09


def test_every_word_comes_with_the_frame_in_which_it_ends() -> None:
    performance = Performance.of(TEXT, PAUSES)
    frames, late = perform(performance, performance.tokens())
    assert not late
    for number, words in enumerate(frames[:-1]):
        for word in words:
            assert number * FRAME_S <= word.end_s <= (number + 1) * FRAME_S + 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_attention_that_is_wrong_for_moments_does_little_harm(seed: int) -> None:
    performance = Performance.of(TEXT, PAUSES)
    tokens = performance.tokens()
    random = np.random.default_rng(seed)
    noisy = tokens + random.normal(0, 0.7, len(tokens))
    lost = random.random(len(tokens)) < 0.08
    noisy[lost] = random.uniform(0, len(TEXT), lost.sum())
    words = all_words(*perform(performance, np.clip(noisy, 0, len(TEXT) - 1)))
    assert joined(words) == TEXT
    assert np.median(errors_s(performance, words)) < 0.08
    assert np.percentile(errors_s(performance, words), 90) < 0.3


def test_a_voice_that_leaves_words_out_or_says_them_twice_is_found_again() -> None:
    performance = Performance.of(TEXT, tail_s=1.0)
    tokens = performance.tokens()
    skipping = np.concatenate((tokens[:12], tokens[20:], tokens[-1:].repeat(8)))
    repeating = np.concatenate((tokens[:12], tokens[5:-7]))
    for played, since in ((skipping, 20), (repeating, 12)):
        words = all_words(*perform(performance, played))
        assert joined(words) == TEXT
        shift_s = {20: -8, 12: 7}[since] * FRAME_S
        late = [word for word, end_s in zip(words, performance.ends_s, strict=True) if end_s > (since + 8) * FRAME_S]
        expected = performance.ends_s[-len(late) :]
        assert np.median([abs(word.end_s - end_s - shift_s) for word, end_s in zip(late, expected, strict=True)]) < 0.1


def test_without_attention_usual_durations_the_pace_and_pauses_tell() -> None:
    performance = Performance.of(TEXT, PAUSES)
    pace = Pace()
    for _ in range(3):
        pace.learn(expected_s(script_of(TEXT).words).sum(), speech_s(performance.pcm().ravel()))
    frames, late = perform(performance, pace=pace)
    words = all_words(frames, late)
    assert joined(words) == TEXT
    assert np.median(errors_s(performance, words)) < 0.12
    even = np.cumsum([len(word.text) + 1 for word in words]) / len(TEXT) * performance.seconds
    assert np.abs(errors_s(performance, words)[1::2]).mean() < np.abs(even - performance.ends_s).mean()


def test_a_pace_is_learnt_from_what_was_spoken_to_its_end() -> None:
    pace = Pace()
    assert pace.value == 1
    for _ in range(20):
        pace.learn(expected_s=2.0, spoken_s=3.0)
    assert pace.value == pytest.approx(1.5, abs=0.05)
    pace.learn(expected_s=1.0, spoken_s=1_000.0)
    assert pace.value == 2
    pace.forget()
    assert pace.value == 1


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("text", ["Hi", "Yes.", "Incomprehensibilities!"])
def test_one_word_lasts_from_the_first_sound_to_the_last(text: str, attention: bool) -> None:
    performance = Performance.of(text, lead_s=0.48)
    (word,) = all_words(*perform(performance, performance.tokens() if attention else None))
    assert word.text == text
    assert word.start_s == pytest.approx(0, abs=0.011) and word.end_s == pytest.approx(performance.ends_s[0], abs=0.011)


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("text", ["Wait ...", "- Hello - there - !", '"No" , he said .'])
def test_words_of_punctuation_take_no_time_and_are_not_lost(text: str, attention: bool) -> None:
    performance = Performance.of(text)
    words = all_words(*perform(performance, performance.tokens() if attention else None))
    assert joined(words) == text
    for word in words:
        if not any(character.isalnum() for character in word.text):
            assert word.end_s - word.start_s < 0.011


def test_times_count_from_the_first_delivered_frame() -> None:
    plain, led = (Performance.of(TEXT, PAUSES, lead_s=lead_s) for lead_s in (0.0, 0.8))
    expected = all_words(*perform(plain, plain.tokens()))
    assert all_words(*perform(led, led.tokens())) == expected
    untrimmed = all_words(*perform(led, led.tokens(), trim=False))
    assert np.allclose([word.end_s - 0.8 for word in untrimmed], [word.end_s for word in expected])


def test_a_word_that_was_cut_off_counts_once_half_of_it_was_said() -> None:
    performance = Performance.of("One two extraordinarily")
    middle_s = (performance.starts_s[2] + performance.ends_s[2]) / 2
    for seconds, expected in ((middle_s - 0.2, "One two"), (middle_s + 0.2, "One two extraordinarily")):
        frames = round(seconds / FRAME_S)
        made, late = perform(performance, performance.tokens(), ended=False, frames=frames)
        words = all_words(made, late)
        assert joined(words) == expected
        assert words[-1].end_s <= frames * FRAME_S + 1e-9


def test_a_sound_that_goes_on_behind_the_text_is_no_part_of_the_last_word() -> None:
    performance = Performance.of("Well, that is all.")
    performance.ends_s[-1] += 4.0
    performance.seconds += 4.0
    for tokens in (performance.tokens(), None):
        words = all_words(*perform(performance, tokens))
        assert joined(words) == performance.text and words[-1].end_s < performance.ends_s[-1] - 1.5


def test_without_silence_at_its_end_an_utterance_tells_its_last_word_when_it_is_over() -> None:
    performance = Performance.of("One two three", tail_s=0.0)
    frames, late = perform(performance, performance.tokens(), trim=False)
    assert joined(late) == "three" and late[0].end_s <= len(frames) * FRAME_S


def test_silence_alone_tells_no_word() -> None:
    performance = Performance("One two", [0.0, 0.0], [0.0, 0.0], seconds=1.0)
    frames, late = perform(performance, np.full(performance.frames, 2.0))
    assert frames == [] and late == []


WORDS = st.text(alphabet=st.sampled_from("abcdefgst'9,.!é&- "), max_size=9)


@settings(max_examples=150, deadline=None)
@given(
    text=st.lists(WORDS, min_size=1, max_size=12).map(" ".join).filter(lambda text: text.strip()),
    tokens=st.lists(st.one_of(st.floats(0, 120), st.just(float("nan"))), min_size=1, max_size=60),
    loud=st.lists(st.floats(0, 1), min_size=60, max_size=60),
    trim=st.booleans(),
    attention=st.booleans(),
    ended=st.booleans(),
)
def test_whatever_is_heard_words_keep_their_order_and_lie_within_the_sound(
    text: str, tokens: list[float], loud: list[float], trim: bool, attention: bool, ended: bool
) -> None:
    class Heard(Performance):
        def pcm(self) -> np.ndarray:
            return np.stack([NOISE * (level > 0.3) * level for level in loud[: len(tokens)]])

    heard = Heard(text, [], [], seconds=len(tokens) * FRAME_S - 1e-6)
    frames, late = perform(heard, tokens if attention else None, trim=trim, ended=ended)
    words = all_words(frames, late)
    assert joined(words) == text[: len(joined(words))]
    if ended and frames:
        assert joined(words) == text
    assert all(0 <= word.start_s <= word.end_s <= len(frames) * FRAME_S + 1e-9 for word in words)
    assert all(earlier.end_s <= later.start_s for earlier, later in pairwise(words))
    for number, told in enumerate(frames[:-1]):
        assert all(number * FRAME_S <= word.end_s <= (number + 1) * FRAME_S + 1e-6 for word in told)


def test_letters_are_all_that_takes_place_in_a_script() -> None:
    text = '"Well," he said. - It\'s 5!'
    script = script_of(text)
    assert script.words == ('"Well,"', "he", "said.", "-", "It's", "5!")
    assert script.ends.tolist() == [4, 6, 10, 10, 14, 15]
    assert script.first_token == 4 and len(script.token_places) == len(text)
    assert script.token_places[:8].tolist() == [0, 0.5, 1.5, 2.5, 3.5, 4, 4, 4]


def test_a_letter_takes_about_as_long_as_it_does_in_speech() -> None:
    sentence = "Could you tell me where the nearest bank is?".split()
    assert len("".join(sentence)) * LETTER_S == pytest.approx(expected_s(sentence).sum(), rel=0.25)
    assert expected_s(["twenty", "thought", "a", "!", "strengths,"]).argsort().tolist() == [3, 2, 1, 0, 4]
    assert expected_s([]).tolist() == []
