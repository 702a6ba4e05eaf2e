"""Pitch of tones, noise and speech."""

from __future__ import annotations

import numpy as np
import pytest

from csm_plugin.evaluation.pitch import agreement, median_pitch_hz, pitch_hz
from csm_plugin.settings import SAMPLE_RATE_HZ
from tests.evaluation.conftest import Say


@pytest.mark.parametrize("hz", [85.0, 180.0, 300.0])
def test_the_pitch_of_a_rich_tone_is_its_fundamental(hz: float) -> None:
    times = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    tone = sum(np.sin(2 * np.pi * hz * k * times) / k for k in range(1, 12)).astype(np.float32) * 0.1

    assert median_pitch_hz(tone) == pytest.approx(hz, rel=0.01)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE_HZ).astype(np.float32)

    assert (pitch_hz(noise) == 0).mean() > 0.9 and (pitch_hz(np.zeros(SAMPLE_RATE_HZ, np.float32)) == 0).all()
    assert median_pitch_hz(np.zeros(SAMPLE_RATE_HZ, np.float32)) is None


def test_a_recording_agrees_with_itself_in_pitch(say: Say) -> None:
    audio = say("The old man fed the birds.", "clara")

    correlation, ratio = agreement(audio, audio)

    assert correlation == pytest.approx(1.0) and ratio == pytest.approx(1.0)
