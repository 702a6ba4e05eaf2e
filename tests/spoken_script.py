"""What a scripted engine says with real speech: flite's, with the times of its words."""

from __future__ import annotations

import numpy as np

from csm_plugin.conversation.words import Word
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.scripted_engine import Script
from training.corpus.synthesis import speak
from training.corpus.voices import VOICES

_CLEAREST = next(voice for voice in VOICES if voice.name == "clara")


def spoken_script(text: str, *, pause_after: int = 0, pause_s: float = 0.0) -> Script:
    """Let flite speak a text.

    Args:
        text: one sentence of ASCII English, each word one of flite's.
        pause_after: after how many words there is a pause.
        pause_s: how long it is, in seconds; a whole number of frames.

    Raises:
        SynthesisError: flite is not installed.
    """
    recording = speak(text, _CLEAREST)
    cut_s = recording.words[pause_after - 1].end_s if pause_s else 0.0
    cut = round(cut_s * SAMPLE_RATE_HZ)
    pause = np.zeros(round(pause_s * SAMPLE_RATE_HZ), np.float32)
    sound = np.concatenate((recording.samples[:cut], pause, recording.samples[cut:]))
    sound = np.pad(sound, (0, -len(sound) % FRAME_SAMPLES))
    times = [(word.start_s, word.end_s) for word in recording.words]
    later = [0.0] * pause_after + [pause_s] * (len(times) - pause_after)
    words = [
        Word(word, start_s + by_s, end_s + by_s)
        for word, (start_s, end_s), by_s in zip(text.split(" "), times, later, strict=True)
    ]
    return Script(frames=round(len(sound) / SAMPLE_RATE_HZ / FRAME_S), sound=sound, words=words)
