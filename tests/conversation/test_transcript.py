"""A recording and its text are found to fit or not, and are cut at one place."""

from __future__ import annotations

import numpy as np
import pytest

from csm_plugin.audio.recording import Recording, prepare
from csm_plugin.conversation.prepared_voice import prepare_voice
from csm_plugin.conversation.transcript import check_pace, cut
from csm_plugin.errors import VoiceError
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.settings import SAMPLE_RATE_HZ
from csm_plugin.text import normalize
from training.corpus.synthesis import speak
from training.corpus.voices import VOICES, Voice

SHORT = ("Yes, of course.", "No.", "I think so, but I am not sure.", "Well, let me see, it was a Tuesday.", "Okay.")


class Reading:
    """Somebody reads sentences, with pauses between them that are seldom longer than those within.

    Args:
        first: of the held-out sentences; every third is followed by a short one.
        seconds: how long at least.
    """

    def __init__(self, voice: Voice, first: int = 0, seconds: float = 45) -> None:
        random = np.random.default_rng(first)
        self.sentences: list[str] = []
        self.ends_s: list[float] = []
        pieces: list[np.ndarray] = []
        samples = 0
        for number in range(1000):
            sentence = normalize(SHORT[number // 3 % 5] if number % 3 == 2 else HELD_OUT[(first + number) % 100])
            pieces += [speak(sentence, voice).samples, np.zeros(int(random.uniform(0.05, 0.5) * SAMPLE_RATE_HZ))]
            samples = sum(map(len, pieces))
            self.sentences.append(sentence)
            self.ends_s.append((samples - len(pieces[-1])) / SAMPLE_RATE_HZ)
            if samples > seconds * SAMPLE_RATE_HZ:
                break
        hiss = 1e-4 * random.standard_normal(samples)
        self.sound = (np.concatenate(pieces) + hiss).astype(np.float32)
        self.text = " ".join(self.sentences)

    @property
    def recording(self) -> Recording:
        return prepare(self.sound, SAMPLE_RATE_HZ, max_seconds=300)


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
def test_text_and_sound_are_cut_at_the_end_of_one_sentence(voice: Voice) -> None:
    reading = Reading(voice, first=7)
    text, recording = cut(reading.text, reading.recording, 30)
    kept = text.count(".") + text.count("?") + text.count("!")
    assert text == " ".join(reading.sentences[:kept])
    assert recording.seconds == pytest.approx(reading.ends_s[kept - 1], abs=0.25)
    assert 20 < recording.seconds <= 30


def test_a_long_reading_is_cut_as_well() -> None:
    reading = Reading(VOICES[0], first=40, seconds=150)
    text, recording = cut(reading.text, reading.recording, 30)
    kept = next(n for n in range(100) if " ".join(reading.sentences[:n]) == text)
    assert recording.seconds == pytest.approx(reading.ends_s[kept - 1], abs=0.25)


def test_the_recogniser_hears_in_what_is_kept_what_its_text_says() -> None:
    reading = Reading(VOICES[6], first=20)
    voice = prepare_voice(reading.text, reading.sound, SAMPLE_RATE_HZ)
    heard = hear(voice.pcm)
    wrong, words = errors(plain(voice.text), heard)
    print(f"{voice.seconds:.1f} s kept of {voice.given_s:.1f} s, {wrong} of {words} words misheard")
    assert voice.is_cut and 20 < voice.seconds <= 30
    assert wrong < 0.2 * words
    assert plain(voice.text).split()[-2:] == heard.split()[-2:]


def test_the_text_of_another_recording_is_refused() -> None:
    with pytest.raises(VoiceError, match=r"4\d\.\d s long, at most 30 s can be used, and none of its \d+ pauses"):
        cut(normalize(" ".join(HELD_OUT[50:66])), Reading(VOICES[1]).recording, 30)


def test_a_text_without_ends_of_sentences_cannot_be_cut() -> None:
    reading = Reading(VOICES[1])
    with pytest.raises(VoiceError, match=r"one of the text's 1 sentences; give a part"):
        cut(reading.text.replace(".", ",").replace("?", ","), reading.recording, 30)


def test_a_recording_without_pauses_cannot_be_cut() -> None:
    reading = Reading(VOICES[1])
    recording = reading.recording
    whole = Recording(recording.pcm, np.ones_like(recording.speech), -20, 40, 0)
    with pytest.raises(VoiceError, match=r"none of its 0 pauses"):
        cut(reading.text, whole, 30)


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
def test_what_is_read_takes_about_as_long_as_its_text(voice: Voice) -> None:
    reading = Reading(voice, first=3, seconds=8)
    assert 0.85 < check_pace(reading.text, reading.recording) < 1.4


@pytest.mark.parametrize("text", ["Yes, of course.", " ".join(HELD_OUT[:20])], ids=["too short", "too long"])
def test_a_text_of_another_length_is_refused_with_the_figures(text: str) -> None:
    reading = Reading(VOICES[0], seconds=8)
    said = r"its \d+ words take about \d+\.\d s, and the recording speaks for \d\.\d s, where \d+\.\d to \d+\.\d s"
    with pytest.raises(VoiceError, match=said):
        prepare_voice(text, reading.sound, SAMPLE_RATE_HZ)
    assert prepare_voice(text, reading.sound, SAMPLE_RATE_HZ, any_text=True).text == normalize(text)
