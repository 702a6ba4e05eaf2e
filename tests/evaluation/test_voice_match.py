"""Voices are told apart by one reference each."""

from __future__ import annotations

import numpy as np
import pytest

from csm_plugin.conversation import VoicePrompt
from csm_plugin.evaluation.voice_match import VoiceMatch
from tests.evaluation.conftest import Say

TEXTS = ("We had soup and bread for lunch today.", "What time does the library close on Saturday?")


@pytest.fixture(scope="module")
def match(prompts: list[VoicePrompt]) -> VoiceMatch:
    return VoiceMatch({prompt.name: prompt.pcm for prompt in prompts})


def test_other_sentences_are_found_in_their_voice(match: VoiceMatch, say: Say) -> None:
    for text in TEXTS:
        for name in match.voices:
            assert match(say(text, name)) == name


def test_neither_loudness_nor_noise_changes_the_voice(match: VoiceMatch, say: Say) -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 240_000).astype(np.float32)
    for name in match.voices:
        audio = say(TEXTS[0], name)
        assert match(0.5 * audio) == match(audio + noise[: len(audio)]) == name


def test_the_own_voice_is_nearest_by_far(match: VoiceMatch, say: Say) -> None:
    distances = match.distances(say(TEXTS[0], "mia"))

    assert sorted(distances)[:2] == ["alan", "bruno"]
    own = distances.pop("mia")
    assert own < 0.8 * min(distances.values())


def test_silence_has_no_voice(match: VoiceMatch) -> None:
    assert match(np.zeros(24_000, np.float32)) is None
    assert match(np.zeros(0, np.float32)) is None
    assert VoiceMatch({})(np.ones(24_000, np.float32)) is None
