"""Recordings are made ready to be voices, or refused with the figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.audio import read_audio, resample
from csm_plugin.audio.recording import LEVEL_DB, MIN_SNR_DB, PEAK_DB, Recording, prepare
from csm_plugin.errors import AudioError
from csm_plugin.model.checkpoint import BUNDLED
from csm_plugin.settings import SAMPLE_RATE_HZ

PROMPTS = sorted((BUNDLED / "csm-tiny" / "voices").glob("*.flac"))
Sound = np.ndarray


def ready(sound: Sound, rate: int = SAMPLE_RATE_HZ) -> Recording:
    return prepare(sound.astype(np.float32), rate, max_seconds=300)


def silence(seconds: float, rate: int = SAMPLE_RATE_HZ) -> Sound:
    return np.zeros(round(seconds * rate), np.float32)


def rms_db(sound: Sound) -> float:
    return 10 * float(np.log10(np.square(sound.astype(np.float64)).mean()))


def white(count: int) -> Sound:
    return np.random.default_rng(0).standard_normal(count)


def pink(count: int) -> Sound:
    """Falls by 3 dB an octave, from 50 Hz on."""
    hz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(np.fft.rfft(white(count)) * (hz >= 50) / np.sqrt(np.maximum(hz, 50)), count)
    return noise / np.sqrt(np.square(noise).mean())


@pytest.fixture(scope="module")
def clara() -> Sound:
    return read_audio(BUNDLED / "csm-tiny" / "voices" / "clara.flac")[0]


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda path: path.stem)
def test_the_bundled_prompts_are_ready_as_they_are(prompt: Path) -> None:
    sound, rate = read_audio(prompt)
    recording = ready(sound, rate)
    assert recording.seconds == pytest.approx(len(sound) / rate, abs=0.1)
    assert recording.level_db == pytest.approx(LEVEL_DB, abs=1.2)
    assert abs(recording.gain_db) < 1.2


@pytest.mark.parametrize("gain_db", [-30, -10, 6])
def test_every_recording_comes_to_one_level(clara: Sound, gain_db: float) -> None:
    levelled = ready(ready(clara * np.float32(10 ** (gain_db / 20))).levelled())
    assert levelled.level_db == pytest.approx(LEVEL_DB, abs=0.3)


def test_no_peak_comes_above_its_limit(clara: Sound) -> None:
    sound = clara * 0.05
    sound[np.abs(sound).argmax()] = 0.5
    assert np.abs(ready(sound).levelled()).max() == pytest.approx(10 ** (PEAK_DB / 20), abs=0.002)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_other_rates_come_to_ours(clara: Sound, rate: int) -> None:
    recording = ready(resample(clara, SAMPLE_RATE_HZ, rate), rate)
    assert recording.seconds == pytest.approx(ready(clara).seconds, abs=0.05)
    assert recording.speech_s == pytest.approx(ready(clara).speech_s, abs=0.25)


def test_channels_are_mixed_down_and_a_constant_is_taken_away(clara: Sound) -> None:
    stereo = np.stack([clara * 0.8 + 0.05, clara * 0.2 - 0.1], axis=1)
    recording = ready(stereo)
    assert recording.pcm.ndim == 1
    assert recording.level_db == pytest.approx(ready(clara).level_db - 6, abs=0.1)


def test_channels_that_cancel_each_other_out_leave_the_loudest(clara: Sound) -> None:
    assert ready(np.stack([clara, -0.99 * clara], axis=1)).level_db == pytest.approx(ready(clara).level_db, abs=0.1)


def test_silence_around_is_trimmed_and_clicks_in_it_too(clara: Sound) -> None:
    around = np.concatenate([silence(3), clara, silence(4)])
    around[SAMPLE_RATE_HZ : SAMPLE_RATE_HZ + 24] = 0.5
    recording = ready(around)
    spoken = np.flatnonzero(recording.speech)
    assert spoken[0] == len(recording.speech) - 1 - spoken[-1] == 20
    assert recording.speech_s == pytest.approx(ready(clara).speech_s, abs=0.05)


def test_ends_are_faded(clara: Sound) -> None:
    levelled = ready(clara[6_000:-6_000]).levelled()
    assert levelled[0] == levelled[-1] == 0


def test_pauses_are_found_with_the_speech_before_them(clara: Sound) -> None:
    recording = ready(np.concatenate([clara, silence(0.5), clara, silence(0.8), clara]))
    one = ready(clara)
    (first, second) = (pause for pause in recording.pauses if pause.seconds > 0.4)
    assert first.spoken_s == pytest.approx(one.speech_s, abs=0.05)
    assert second.spoken_s == pytest.approx(2 * one.speech_s, abs=0.1)
    assert second.seconds - first.seconds == pytest.approx(0.3, abs=0.02)
    before = recording.until(second)
    assert before.speech_s == pytest.approx(second.spoken_s, abs=0.05)
    assert before.seconds == pytest.approx(second.start_s + 0.2, abs=0.02)


@pytest.mark.parametrize("noise", [white, pink])
@pytest.mark.parametrize("snr_db", [5, 10, 15])
def test_a_noisy_recording_is_refused_with_the_figures(noise: Callable[[int], Sound], snr_db: float) -> None:
    for prompt in PROMPTS:
        sound = read_audio(prompt)[0]
        level_db = ready(sound).level_db
        noisy = sound + 10 ** ((level_db - snr_db) / 20) * noise(len(sound))
        with pytest.raises(AudioError, match=rf"noisy: .* 1?\d dB above the noise, at least {MIN_SNR_DB:.0f} dB"):
            ready(noisy)


@pytest.mark.parametrize("noise", [white, pink])
@pytest.mark.parametrize("snr_db", [20, 25])
def test_a_little_noise_is_taken_and_measured(noise: Callable[[int], Sound], snr_db: float) -> None:
    for prompt in PROMPTS:
        sound = read_audio(prompt)[0]
        noisy = sound + 10 ** ((ready(sound).level_db - snr_db) / 20) * noise(len(sound))
        assert ready(noisy).snr_db == pytest.approx(snr_db, abs=3)


def test_noise_is_found_between_gaps_of_no_sound_at_all(clara: Sound) -> None:
    noisy = clara + 0.02 * white(len(clara))
    with pytest.raises(AudioError, match="noisy"):
        ready(np.concatenate([silence(2), noisy, silence(2)]))


@pytest.mark.parametrize("after", [1.0, 0.5])
def test_a_clipped_recording_is_refused_also_when_it_was_made_quieter(clara: Sound, after: float) -> None:
    too_loud = clara / np.abs(clara).max() * 10 ** (4 / 20)
    with pytest.raises(AudioError, match=r"clipped: \d\.\d\d% .* at most 0\.10%"):
        ready(np.round(np.clip(too_loud, -1, 1) * after * 32_768) / 32_768)


def test_a_channel_that_is_clipped_does_not_hide_behind_the_other(clara: Sound) -> None:
    too_loud = np.clip(clara / np.abs(clara).max() * 2, -1, 1)
    with pytest.raises(AudioError, match="clipped"):
        ready(np.stack([too_loud, clara * 0.1], axis=1))


def test_a_peak_at_full_scale_is_no_clipping(clara: Sound) -> None:
    assert ready(clara / np.abs(clara).max()).clipped < 0.0002


@pytest.mark.parametrize(
    ("sound", "said"),
    [
        (silence(3), "silent: its loudest parts are at -85 dBFS"),
        (1e-4 * white(72_000), "silent: its loudest parts are at -80 dBFS"),
        (0.1 * white(72_000), "noisy"),
        (np.zeros(0, np.float32), "empty"),
        (np.full(72_000, np.nan), "NaN"),
        (silence(301), "at most 300 s"),
        (np.zeros((24_000, 0), np.float32), "must be"),
    ],
    ids=["nothing", "hardly anything", "noise", "empty", "not finite", "too long", "no channel"],
)
def test_what_is_no_speech_is_refused(sound: Sound, said: str) -> None:
    with pytest.raises(AudioError, match=said):
        ready(sound)


def test_less_than_a_second_of_speech_is_refused(clara: Sound) -> None:
    with pytest.raises(AudioError, match=r"0\.\d s of speech; at least 1 s"):
        ready(clara[: round(1.0 * SAMPLE_RATE_HZ)])
