"""Sound is encoded frame by frame without waiting, and stretched without a change of pitch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from csm_plugin.audio import to_int16
from csm_plugin.server.formats.encoders import encoder
from csm_plugin.server.formats.stretch import Stretch
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.server.decoding import decode, pitch_of

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)).astype(np.float32)
FRAMES = [TONE[start : start + FRAME_SAMPLES] for start in range(0, len(TONE), FRAME_SAMPLES)]
DELAY_FRAMES = {"mp3": 1, "opus": 1, "aac": 2, "flac": 1, "wav": 1, "pcm": 1}


@pytest.mark.parametrize("form", DELAY_FRAMES)
def test_bytes_come_out_after_as_few_frames_as_the_format_allows(form: Any) -> None:
    sound = encoder(form)
    frames = 1
    while not sound.encode(FRAMES[frames - 1]):
        frames += 1
    sound.close()
    assert frames <= DELAY_FRAMES[form]


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
def test_what_is_encoded_sounds_the_same(form: Any) -> None:
    sound = encoder(form)
    heard = decode(b"".join(map(sound.encode, FRAMES)) + sound.finish())
    sound.close()
    assert len(heard) / SAMPLE_RATE_HZ == pytest.approx(2, abs=0.1)
    assert pitch_of(heard) == pytest.approx(440, abs=1)
    assert np.std(heard) == pytest.approx(np.std(TONE), rel=0.1)


def test_lossless_formats_lose_nothing() -> None:
    for form in ("flac", "wav"):
        sound = encoder(form)  # type: ignore[arg-type]
        heard = decode(b"".join(map(sound.encode, FRAMES)) + sound.finish())
        assert np.array_equal(np.rint(heard * 32_768).astype(np.int16), to_int16(TONE))


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 0.8, 1, 1.3, 2, 3, 4])
def test_speed_changes_the_length_and_not_the_pitch(speed: float) -> None:
    stretch = Stretch(speed)
    pieces = [stretch.push(frame) for frame in FRAMES]
    heard = np.concatenate([*pieces, stretch.finish()])
    assert len(heard) / SAMPLE_RATE_HZ == pytest.approx(2 / speed, abs=0.03 + 0.01 / speed)
    assert pitch_of(heard) == pytest.approx(440, abs=1.5)
    assert next(n for n, piece in enumerate(pieces) if len(piece)) <= 3
