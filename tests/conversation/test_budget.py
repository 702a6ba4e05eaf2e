"""How a context is shared out."""

from __future__ import annotations

import pytest

from csm_plugin.conversation import Budget, longest_utterance
from csm_plugin.errors import ContextFullError
from csm_plugin.settings import FRAME_S


def test_a_cap_leaves_slow_speech_twice_its_time() -> None:
    sentence = "The quick brown fox jumps over the lazy dog near the river bank."
    slowest_plain_reading_s = len(sentence) / 10
    assert 1.5 * slowest_plain_reading_s < longest_utterance(sentence, None) * FRAME_S < 3 * slowest_plain_reading_s


def test_a_callers_limit_shortens_a_cap_and_never_lengthens_it() -> None:
    assert longest_utterance("hello", 0.4) == 5
    assert longest_utterance("hello", 1_000) == longest_utterance("hello", None)
    assert longest_utterance("hello", 1e-9) == 1


def test_old_segments_go_before_the_context_is_full_and_more_than_one_at_once() -> None:
    budget = Budget(2_048)
    assert not budget.is_full(1_500) and budget.is_full(1_600)
    assert budget.keep(pinned=100) == 1_024
    assert budget.keep(pinned=1_500) == 1_500


def test_an_utterance_gets_what_is_left() -> None:
    assert Budget(100).room(used=50, tokens=20, wanted_frames=500) == 29
    assert Budget(100).room(used=50, tokens=20, wanted_frames=5) == 5


def test_a_text_that_never_fits_is_refused() -> None:
    Budget(100).check(pinned=50, tokens=36)
    with pytest.raises(ContextFullError, match=r"37 tokens .* room for 36"):
        Budget(100).check(pinned=50, tokens=37)
