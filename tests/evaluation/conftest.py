"""Recordings whose words, voice and end are known: flite's, in the voices of csm-tiny's corpus."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.audio import write_wav
from csm_plugin.conversation import VoicePrompt
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.settings import SAMPLE_RATE_HZ
from training.corpus.synthesis import speak
from training.corpus.voices import VOICES

REFERENCE = "I would like to try the blue one, please."

Say = Callable[[str, str], np.ndarray]


@pytest.fixture(scope="session")
def say() -> Say:
    """A text in a voice, by its name: float32 [samples] at 24 kHz."""
    by_name = {voice.name: voice for voice in VOICES}
    return cache(lambda text, name: speak(text, by_name[name]).samples)


@pytest.fixture(scope="session")
def prompts(say: Say) -> list[VoicePrompt]:
    """A voice prompt of each voice."""
    return [VoicePrompt(voice.name, REFERENCE, say(REFERENCE, voice.name)) for voice in VOICES]


@pytest.fixture(scope="session")
def checkpoint(prompts: list[VoicePrompt], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights, which speaks noise to its limit, with two voice prompts."""
    folder = write_random_checkpoint(tmp_path_factory.mktemp("evaluated"), "tiny")
    (folder / "voices").mkdir()
    for prompt in prompts[:2]:
        write_wav(folder / "voices" / f"{prompt.name}.wav", prompt.pcm, SAMPLE_RATE_HZ)
        (folder / "voices" / f"{prompt.name}.txt").write_text(prompt.text)
    return folder
