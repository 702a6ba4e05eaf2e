"""Sound as plain clients read and write it: the standard library's WAV, and base64."""

from __future__ import annotations

import base64
import io
import wave

import numpy as np

from csm_plugin.audio import to_int16
from csm_plugin.settings import Sampling
from tests.server.running import RunningServer

TEXT = "Hello there, this is a sentence."
GREEDY = {"temperature": 0}


def read_wav(data: bytes) -> np.ndarray:
    """The samples of a WAV file, which must be 24 kHz, mono, 16 bit and complete: int16 [samples]."""
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert len(samples) == file.getnframes()
    return samples


def read_base64(coded: str) -> np.ndarray:
    """The samples of a WAV file in base64: int16 [samples]."""
    return read_wav(base64.b64decode(coded, validate=True))


def tone_wav(seconds: float = 0.5, rate: int = 16_000) -> bytes:
    """A WAV file with a tone in it."""
    samples = 8_000 * np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 300 / rate)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        out.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def greedy(server: RunningServer, text: str = TEXT, speaker: int = 0, max_seconds: float = 30.0) -> np.ndarray:
    """What the engine says by itself when nothing is drawn: int16 [samples]."""
    sampling = Sampling(temperature=0, max_seconds=max_seconds)
    return to_int16(server.engine.synthesize(text, speaker=speaker, sampling=sampling))
