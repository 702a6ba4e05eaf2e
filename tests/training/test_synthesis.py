"""Speech for the corpus: audio, times, and what happens without the synthesiser."""

import ctypes

import numpy as np
import pytest

from csm_plugin.evaluation.pitch import pitch_hz
from training.corpus import flite
from training.corpus.synthesis import speak
from training.corpus.voices import VOICES, voice_index
from training.errors import SynthesisError

TEXT = "The old man fed the birds."


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
def test_every_voice_speaks_with_times_that_lie_inside_its_audio(voice):
    recording = speak(TEXT, voice)

    assert recording.samples.dtype == np.float32
    assert 1.0 < recording.seconds < 4.0
    assert np.abs(recording.samples).max() <= 1.0
    assert [word.name for word in recording.words] == ["the", "old", "man", "fed", "the", "birds"]
    ends = [phoneme.end_s for phoneme in recording.phonemes if phoneme.name != "pau"]
    assert ends == sorted(ends) and ends[-1] <= recording.seconds
    assert all(word.start_s < word.end_s <= recording.seconds for word in recording.words)


def test_a_recording_starts_and_ends_in_a_short_silence():
    recording = speak(TEXT, VOICES[0])

    assert np.abs(recording.samples[:1000]).max() < 0.02
    assert np.abs(recording.samples[-1000:]).max() < 0.02


def test_a_scaled_voice_is_higher_and_not_faster():
    low, high = (speak(TEXT, VOICES[voice_index(name)]) for name in ("robert", "leo"))

    pitches = [np.median(found[found > 0]) for found in (pitch_hz(low.samples), pitch_hz(high.samples))]
    assert pitches[1] / pitches[0] == pytest.approx(1.2, rel=0.05)
    assert high.seconds == pytest.approx(low.seconds, rel=0.05)


def test_the_same_text_gives_the_same_samples_whatever_was_spoken_before():
    first = speak(TEXT, VOICES[voice_index("alan")])
    speak(TEXT, VOICES[voice_index("fiona")])  # the same flite voice, at another pitch

    assert np.array_equal(first.samples, speak(TEXT, VOICES[voice_index("alan")]).samples)


def test_a_text_without_words_is_refused():
    with pytest.raises(SynthesisError, match="nothing to speak"):
        speak("...", VOICES[0])


def test_without_flite_the_error_names_the_debian_package(monkeypatch):
    def missing(name, mode=0):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)

    with pytest.raises(SynthesisError, match="apt-get install libflite1"):
        flite._library.__wrapped__()
