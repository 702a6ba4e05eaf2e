"""How recordings end, and how long they should be."""

from __future__ import annotations

import numpy as np
import pytest

from csm_plugin.evaluation.ending import LONGEST, SHORTEST, ending, expected_s
from tests.evaluation.conftest import Say

TEXT = "The children are playing in the garden behind the house."


@pytest.mark.parametrize("voice", ["clara", "bruno", "fiona"])
def test_a_whole_recording_ends_quietly_at_a_plausible_length(voice: str, say: Say) -> None:
    end = ending(say(TEXT, voice))

    assert not end.broken_off
    assert 0.05 < end.silence_s < 0.4
    assert SHORTEST < end.speech_s / expected_s(TEXT) < LONGEST


def test_a_recording_that_was_cut_is_broken_off(say: Say) -> None:
    audio = say(TEXT, "clara")
    cuts = [audio[: int(share * len(audio))] for share in np.linspace(0.3, 0.8, 11)]

    assert np.mean([ending(cut).broken_off for cut in cuts]) > 0.7  # the others are cut in a stop or a pause


def test_half_a_sentence_or_three_are_not_of_plausible_length(say: Say) -> None:
    audio = say(TEXT, "clara")

    assert ending(audio[: len(audio) // 2]).speech_s / expected_s(TEXT) < SHORTEST
    assert ending(np.tile(audio, 3)).speech_s / expected_s(TEXT) > LONGEST


def test_silence_behind_is_measured_and_does_not_count_as_speech(say: Say) -> None:
    audio = say(TEXT, "clara")
    trailing = ending(np.pad(audio, (0, 24_000)))

    assert trailing.silence_s == pytest.approx(1.0 + ending(audio).silence_s, abs=0.03)
    assert trailing.speech_s == pytest.approx(ending(audio).speech_s, abs=0.03)


@pytest.mark.parametrize("samples", [0, 7, 24_000])
def test_no_sound_is_no_speech(samples: int) -> None:
    end = ending(np.zeros(samples, np.float32))

    assert (end.speech_s, end.silence_s, end.broken_off) == (0.0, samples / 24_000, False)
