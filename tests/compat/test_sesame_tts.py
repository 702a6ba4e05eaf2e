"""A program written for Sesame_TTS's methods, from their description, runs."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from csm_plugin.audio import to_int16
from csm_plugin.compat.sesame_tts import SesameTTS
from csm_plugin.engine import Engine
from csm_plugin.errors import AudioError, InputError, SettingsError, TextError
from csm_plugin.settings import Sampling

Eventually = Callable[[Callable[[], bool]], None]
TEXT = "Hello from Sesame TTS!"


def samples_of(data: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def tone(seconds: float) -> np.ndarray:
    return (0.2 * np.sin(np.arange(int(24_000 * seconds)) / 20)).astype(np.float32)


def test_a_text_comes_back_as_wav_bytes(engine: Engine) -> None:
    data = SesameTTS(engine).generate_speech(text=TEXT, speaker=1, temperature=0)
    expected = engine.synthesize(TEXT, speaker=1, sampling=Sampling(temperature=0, max_seconds=10))
    assert np.array_equal(samples_of(data), to_int16(expected))


def test_it_lasts_no_longer_than_was_said(engine: Engine, eventually: Eventually) -> None:
    data = SesameTTS(engine).generate_speech("A long text, spoken by sentences. " * 15, max_audio_length_ms=1_010)
    assert len(samples_of(data)) == 24_240
    eventually(lambda: engine.stats().conversations == 0)


def test_it_follows_what_was_said_before(engine: Engine) -> None:
    tts = SesameTTS(engine)
    segments = [
        {"text": "How are you?", "speaker": 0, "audio_tensor": torch.from_numpy(tone(0.5))},
        {"text": "I am fine.", "speaker": 1, "audio_tensor": torch.from_numpy(tone(0.8))[None]},
    ]
    with engine.conversation(speaker=0, sampling=Sampling(temperature=0, max_seconds=10)) as talk:
        talk.listen("How are you?", tone(0.5), speaker=0).wait()
        talk.listen("I am fine.", tone(0.8), speaker=1).wait()
        expected = np.concatenate([chunk.pcm for chunk in talk.speak(TEXT)])
    data = tts.generate_speech_with_context(TEXT, 0, segments, temperature=0)
    assert np.array_equal(samples_of(data), to_int16(expected))
    assert data != tts.generate_speech(TEXT, temperature=0)
    attributes = [SimpleNamespace(**segment) for segment in segments]
    assert tts.generate_speech_with_context(TEXT, 0, context_segments=attributes, temperature=0) == data


@pytest.mark.parametrize(
    ("segment", "error"),
    [
        ({"speaker": 0, "audio_tensor": tone(0.1)}, InputError),
        ({"text": "a", "speaker": "x", "audio_tensor": tone(0.1)}, InputError),
        ({"text": "a", "speaker": 0, "audio_tensor": "sound"}, AudioError),
        ({"text": "a", "speaker": 0, "audio_tensor": np.zeros((2, 100), np.float32)}, AudioError),
    ],
)
def test_a_segment_that_is_none_is_an_error(engine: Engine, segment: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        SesameTTS(engine).generate_speech_with_context(TEXT, 0, [segment])


def test_what_cannot_be_spoken_is_an_error(engine: Engine) -> None:
    tts = SesameTTS(engine)
    with pytest.raises(TextError):
        tts.generate_speech("...")
    with pytest.raises(SettingsError):
        tts.generate_speech(TEXT, temperature=7)
    with pytest.raises(SettingsError):
        tts.generate_speech(TEXT, max_audio_length_ms=0)
