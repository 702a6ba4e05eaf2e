"""From 24 kHz to 8 kHz: every sample once, nothing late, little folded back; measured against soxr's streams."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from csm_plugin.audio.decimator import FACTOR, LOOK_AHEAD_SAMPLES, Decimator
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ

Sound = npt.NDArray[np.int16]
STOCK = "VHQ"  # what Pipecat uses


def decimate(*pieces: Sound) -> Sound:
    stream = Decimator()
    return np.concatenate([*(stream.feed(piece) for piece in pieces), stream.flush()])


def by_soxr(quality: str) -> Callable[[Sound], Sound]:
    def resample(sound: Sound) -> Sound:
        stream = soxr.ResampleStream(SAMPLE_RATE_HZ, SAMPLE_RATE_HZ // FACTOR, 1, dtype="int16", quality=quality)
        parts = [
            stream.resample_chunk(part) for part in np.split(sound, range(FRAME_SAMPLES, len(sound), FRAME_SAMPLES))
        ]
        return np.concatenate([*parts, stream.resample_chunk(np.zeros(0, np.int16), last=True)]).astype(np.int16)

    return resample


def tone(pitch_hz: float, seconds: float = 1.0) -> Sound:
    moments = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return np.rint(16_000 * np.sin(2 * np.pi * pitch_hz * moments)).astype(np.int16)


def level_db(sound: Sound) -> float:
    """The level of a tone's middle, over the one of `tone`."""
    middle = sound[len(sound) // 4 : -len(sound) // 4].astype(np.float64)
    return float(20 * np.log10(np.sqrt(np.mean(middle**2)) / (16_000 / np.sqrt(2)) + 1e-9))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_any_chunking_gives_the_same_samples_and_a_third_of_them(lengths: list[int], seed: int) -> None:
    sound = np.random.default_rng(seed).integers(-32768, 32768, sum(lengths)).astype(np.int16)
    pieces = np.split(sound, np.cumsum(lengths)[:-1])
    assert len(decimate(*pieces)) == -(-len(sound) // FACTOR)
    assert np.array_equal(decimate(*pieces), decimate(sound))


def test_it_is_a_symmetric_filter_around_every_third_sample() -> None:
    centred = np.zeros(601, np.int16)
    centred[300] = 32_767
    answer = decimate(centred)
    assert np.array_equal(answer, answer[::-1])
    assert np.argmax(answer) == 100
    assert not answer[: 100 - LOOK_AHEAD_SAMPLES // FACTOR].any()


def test_a_stream_can_be_used_again_after_its_end() -> None:
    stream = Decimator()
    first = np.concatenate([stream.feed(tone(500)), stream.flush()])
    assert np.array_equal(np.concatenate([stream.feed(tone(500)), stream.flush()]), first)


def test_full_scale_is_clipped_not_wrapped() -> None:
    square = np.where(np.arange(2_400) // 30 % 2, 32_767, -32_768).astype(np.int16)
    assert {decimate(square).min(), decimate(square).max()} == {-32_768, 32_767}


@pytest.mark.parametrize("pitch_hz", [50, 300, 1_000, 2_000, 3_000, 3_400])
def test_the_telephones_band_passes_unchanged_and_undelayed(pitch_hz: float) -> None:
    sound = tone(pitch_hz)
    expected, got = sound[::FACTOR], decimate(sound)
    middle = slice(100, -100)
    assert np.abs(got[middle].astype(int) - expected[middle]).max() <= 0.005 * 16_000
    assert level_db(got) == pytest.approx(0, abs=0.03)


def test_it_beats_the_stock_stream_in_delay_at_equal_quality() -> None:
    print(f"\n{'24 to 8 kHz':12} {'ready after':>12} {'held':>8} {'3.4 kHz':>9} {'folded':>9} {'per 80 ms':>10}")
    figures: dict[str, tuple[float, float, float]] = {}
    for name, resample in [("ours", decimate), *((quality, by_soxr(quality)) for quality in ("VHQ", "HQ", "MQ", "LQ"))]:
        ready_ms, held_ms, cost_us = timing(name)
        folded_db = max(level_db(resample(tone(pitch))) for pitch in (4_600, 5_000, 6_000, 7_500, 9_000, 11_500))
        passed_db = level_db(resample(tone(3_400)))
        figures[name] = (ready_ms, passed_db, folded_db)
        print(
            f"{name:12} {ready_ms:9.1f} ms {held_ms:5.1f} ms {passed_db:6.2f} dB {folded_db:6.1f} dB {cost_us:7.0f} µs"
        )
    ready_ms, passed_db, folded_db = figures["ours"]
    # µ-law's own noise is 38 dB below the sound: what is 70 dB below is not heard.
    assert abs(passed_db) < 0.05 and folded_db < -70
    assert ready_ms < 2.2
    assert figures[STOCK][0] > 40 * ready_ms


def timing(name: str) -> tuple[float, float, float]:
    """Milliseconds of input before the first output, and that are held after 4 s; microseconds for 80 ms."""
    ours = Decimator()
    stock = None if name == "ours" else soxr.ResampleStream(24_000, 8_000, 1, dtype="int16", quality=name)
    feed = ours.feed if stock is None else stock.resample_chunk
    ready = given_samples = 0
    while ready == 0:
        given_samples += 3
        ready = len(feed(np.zeros(3, np.int16)))
    first_ms = given_samples / 24
    out = ready
    frames = 50
    silence = np.zeros(FRAME_SAMPLES, np.int16)
    began = time.perf_counter()
    out += sum(len(feed(silence)) for _ in range(frames))
    cost_us = (time.perf_counter() - began) / frames * 1e6
    held_ms = (given_samples + frames * FRAME_SAMPLES - 3 * out) / 24
    return first_ms, held_ms, cost_us
