"""Sound in memory is checked on its way in and converted one way only on its way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from csm_plugin.audio import check_pcm, check_sample_rate, resample, to_int16
from csm_plugin.errors import AudioError

SECOND = np.zeros(24_000, dtype=np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_any_width_come_in_as_float32(dtype: type) -> None:
    checked = check_pcm(np.array([0.0, 0.5, -1.0, 1.0], dtype=dtype), 24_000)
    assert checked.dtype == np.float32
    assert checked.tolist() == [0.0, 0.5, -1.0, 1.0]


def test_int16_comes_in_divided_by_32768() -> None:
    checked = check_pcm(np.array([-32_768, 0, 16_384], dtype=np.int16), 8_000)
    assert checked.dtype == np.float32
    assert checked.tolist() == [-1.0, 0.0, 0.5]


def test_what_comes_in_is_a_copy() -> None:
    pcm = np.zeros(10, dtype=np.float32)
    checked = check_pcm(pcm, 24_000)
    pcm[:] = 1
    assert not checked.any()


def test_a_small_overshoot_is_clipped() -> None:
    assert check_pcm(np.array([1.25, -1.5], dtype=np.float32), 24_000).tolist() == [1.0, -1.0]


@pytest.mark.parametrize(
    ("pcm", "rate", "told"),
    [
        (np.zeros((2, 100), dtype=np.float32), 24_000, r"\(2, 100\).*one channel"),
        (np.zeros((100, 1), dtype=np.float32), 24_000, "one channel"),
        (np.float32(0.5), 24_000, "type float32"),
        (np.zeros((), dtype=np.float32), 24_000, r"shape \(\)"),
        (np.zeros(0, dtype=np.float32), 24_000, "empty"),
        (np.array([0.0, np.nan], dtype=np.float32), 24_000, "1 of 2"),
        (np.array([np.inf, 0.0], dtype=np.float32), 24_000, "finite"),
        (np.array([-32_000.0, 0.0], dtype=np.float32), 24_000, "32,768"),
        (np.zeros(100, dtype=np.int32), 24_000, "int32"),
        (np.zeros(100, dtype=np.complex64), 24_000, "complex64"),
        ([0.0, 0.1], 24_000, "list"),
        (b"\x00\x00", 24_000, "bytes"),
        (None, 24_000, "NoneType"),
        (np.zeros(121 * 8_000, dtype=np.float32), 8_000, "121.0 s"),
        (SECOND, 7_999, "7999.*8,000 to 192,000"),
        (SECOND, 192_001, "192001"),
        (SECOND, 0, "sample rate is 0"),
        (SECOND, -24_000, "-24000"),
        (SECOND, 24_000.5, "24000.5"),
        (SECOND, "24000", "str"),
        (SECOND, None, "NoneType"),
        (SECOND, True, "True"),
    ],
)
def test_unusable_sound_is_refused_and_the_error_says_what_was_given(pcm: Any, rate: Any, told: str) -> None:
    with pytest.raises(AudioError, match=told):
        check_pcm(pcm, rate)


def test_two_minutes_are_the_longest_sound() -> None:
    assert check_pcm(np.zeros(120 * 8_000, dtype=np.float32), 8_000).size == 120 * 8_000


def test_a_numpy_integer_is_a_sample_rate() -> None:
    assert check_sample_rate(np.int64(16_000)) == 16_000


def test_int16_samples_follow_the_documented_formula() -> None:
    pcm = np.array([-2.0, -1.0, -0.5, 0.0, 0.5 / 32_767, 1.5 / 32_767, 1.0, 2.0], dtype=np.float32)
    samples = to_int16(pcm)
    assert samples.dtype == np.int16
    assert samples.tolist() == [-32_768, -32_767, -16_384, 0, 0, 2, 32_767, 32_767]


@settings(deadline=None)
@given(arrays.arrays(np.float32, st.integers(2, 200), elements=st.floats(-1, 1, width=32)), st.integers(1, 199))
def test_converting_chunks_gives_the_samples_of_the_whole(pcm: np.ndarray, cut: int) -> None:
    assert np.array_equal(np.concatenate([to_int16(pcm[:cut]), to_int16(pcm[cut:])]), to_int16(pcm))


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (8_000, 24_000), (44_100, 24_000)])
def test_resampling_keeps_a_tone(from_hz: int, to_hz: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(from_hz) / from_hz).astype(np.float32)
    moved = resample(tone, from_hz, to_hz)
    expected = np.sin(2 * np.pi * 440 * np.arange(len(moved)) / to_hz)
    assert moved.dtype == np.float32
    assert abs(len(moved) - to_hz) <= 1
    assert np.max(np.abs(moved - expected)[1_000:-1_000]) < 1e-3


def test_resampling_to_the_same_rate_gives_the_same_sound() -> None:
    assert resample(SECOND, 24_000, 24_000) is SECOND


def test_resampling_to_an_unreasonable_rate_is_refused() -> None:
    with pytest.raises(AudioError, match="sample rate is 100"):
        resample(SECOND, 24_000, 100)
