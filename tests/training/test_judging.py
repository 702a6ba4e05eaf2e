"""What speech is judged with: word errors, pitch and voice."""

import numpy as np
import pytest

from csm_plugin.training.gate import voice_classifier
from csm_plugin.training.pitch import agreement, pitch_hz
from csm_plugin.training.recognition import errors, plain, word_error
from csm_plugin.training.synthesis import SAMPLE_RATE, speak
from csm_plugin.training.voices import VOICES


@pytest.mark.parametrize("hz", [85.0, 180.0, 300.0])
def test_the_pitch_of_a_rich_tone_is_its_fundamental(hz):
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * hz * k * times) / k for k in range(1, 12)).astype(np.float32) * 0.1

    assert np.median(pitch_hz(tone)) == pytest.approx(hz, rel=0.01)


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)

    assert (pitch_hz(noise) == 0).mean() > 0.9 and (pitch_hz(np.zeros(SAMPLE_RATE, np.float32)) == 0).all()


def test_a_recording_agrees_with_itself_in_pitch():
    audio = speak("The old man fed the birds.", VOICES[0]).samples

    correlation, ratio = agreement(audio, audio)

    assert correlation == pytest.approx(1.0) and ratio == pytest.approx(1.0)


def test_numbers_are_compared_as_words():
    assert (
        plain("It's 7:30, and 1,250 people came.") == "it's seven thirty and one thousand two hundred fifty people came"
    )


def test_substituted_missing_and_added_words_are_errors():
    assert errors("a b c d", "a x c") == (2, 4)
    assert errors("a b", "a b c") == (1, 2)


def test_the_recogniser_understands_the_source():
    texts = ["We had soup and bread for lunch today.", "What time does the library close on Saturday?"]

    assert word_error(texts, [speak(text, VOICES[1]).samples for text in texts]) < 0.2


def test_voices_are_told_apart(corpus_folder):
    classifier = voice_classifier(corpus_folder)
    known = [number for number in range(len(VOICES)) if number in classifier.voices]
    spoken = [speak("I would like to try the blue one, please.", VOICES[number]).samples for number in known]

    assert np.mean([classifier(audio) == number for number, audio in zip(known, spoken, strict=True)]) > 0.7
