"""Utterances whose faults are known are judged as what they are."""

from __future__ import annotations

import numpy as np
import pytest

from csm_plugin.conversation import VoicePrompt
from csm_plugin.evaluation.dialogue import Condition, Dialogue, Spoken
from csm_plugin.evaluation.reading import Listener, Reading
from csm_plugin.settings import Sampling
from tests.evaluation.conftest import Say

TEXT = "What time does the library close on Saturday?"


@pytest.fixture(scope="module")
def listener(prompts: list[VoicePrompt]) -> Listener:
    return Listener(prompts)


def judged(listener: Listener, audio: np.ndarray, wanted: str, *, ended: bool = True, heard: bool = True) -> Reading:
    dialogue = Dialogue(Condition.PROMPT, (TEXT,), Sampling(seed=4), wanted=wanted, heard=heard)
    return listener.judge(dialogue, Spoken(0, TEXT, audio, ended))


def test_the_source_itself_has_no_faults(listener: Listener, say: Say) -> None:
    reading = judged(listener, say(TEXT, "leo"), "leo")

    assert reading.word_errors <= 1 and reading.words == 8
    assert reading.last_word_heard
    assert reading.in_right_voice and reading.pitch_is_near
    assert reading.ended_well and not reading.broken_off and not reading.trails_off
    assert (reading.voice, reading.seed, reading.condition) == ("leo", 4, Condition.PROMPT)


def test_another_voice_is_the_wrong_one_at_another_pitch(listener: Listener, say: Say) -> None:
    reading = judged(listener, say(TEXT, "mia"), "leo", heard=False)

    assert reading.voice_found == "mia" and not reading.in_right_voice
    assert not reading.pitch_is_near
    assert reading.heard is None and reading.words == 0


def test_what_is_cut_lacks_its_last_word(listener: Listener, say: Say) -> None:
    audio = say(TEXT, "leo")
    reading = judged(listener, audio[: int(0.7 * len(audio))], "leo")

    assert not reading.last_word_heard
    assert reading.word_errors >= 1


def test_what_does_not_end_or_babbles_on_has_not_ended_well(listener: Listener, say: Say) -> None:
    audio = say(TEXT, "leo")

    assert not judged(listener, audio, "leo", ended=False, heard=False).ended_well
    assert not judged(listener, np.tile(audio, 2), "leo", heard=False).ended_well


def test_an_empty_utterance_has_no_voice_no_pitch_and_no_words(listener: Listener) -> None:
    reading = judged(listener, np.zeros(0, np.float32), "leo")

    assert (reading.voice_found, reading.pitch_ratio, reading.heard) == (None, None, "")
    assert reading.word_errors == reading.words == 8
    assert not reading.ended_well and not reading.pitch_is_near
