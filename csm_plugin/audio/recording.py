"""A recording made ready to be a voice: mono, 24 kHz, silence trimmed, levelled; or refused with the figures."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from csm_plugin.audio.pcm import Pcm, check_pcm, resample
from csm_plugin.errors import AudioError
from csm_plugin.settings import SAMPLE_RATE_HZ

LEVEL_DB: Final = -20.0
"""Level of speech that recordings are brought to, in dBFS: csm-tiny's prompts have -19.9 to -18.9."""

PEAK_DB: Final = -1.0
MARGIN_S: Final = 0.2
MIN_SPEECH_S: Final = 1.0
MIN_LEVEL_DB: Final = -60.0

MAX_CLIPPED: Final = 0.001
"""Share of the samples. Speech that is 1 dB too loud has 0.04 % in the median, 2 dB 0.2 %, 3 dB 0.4 %; else 0.002 %."""

MIN_SNR_DB: Final = 17.0
"""Speech above noise. With white or pink noise 15 dB below speech 16 recordings measure 15.0 to 16.6 dB, with 20 dB
18.1 to 20.9; without noise, but cut so tightly that there is no pause to measure it in, 21.7 or more."""

PAUSE_BLOCKS: Final = 10
"""So many silent blocks are a pause; fewer are the closure of a stop, and part of a word."""

_BLOCK: Final = SAMPLE_RATE_HZ // 100
_BLOCK_S: Final = _BLOCK / SAMPLE_RATE_HZ
_SHORTEST_BLOCKS: Final = 5  # a sound that is shorter, with pauses around it, is a click
_QUIET_DB: Final = 30.0  # so far below the loudest blocks there is no speech
_ABOVE_NOISE_DB: Final = 6.0
_NO_SOUND_DB: Final = -85.0  # what varies less is a gap that was made, and tells nothing of the noise
_FADE: Final = SAMPLE_RATE_HZ // 200


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause inside a recording.

    Args:
        start_s: where speech stops, from the recording's start.
        end_s: where it goes on.
        spoken_s: how long it has spoken until then, without pauses.
    """

    start_s: float
    end_s: float
    spoken_s: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Speech, with at most 0.2 s of silence on either side.

    Args:
        pcm: float32 [samples], mono, 24 kHz.
        speech: bool [blocks], which blocks of 10 ms are speech; pauses shorter than 0.1 s are.
        level_db: of the speech, in dBFS.
        snr_db: how far the noise lies below the speech.
        clipped: share of the samples that are as loud as the file could hold.
    """

    pcm: Pcm = field(repr=False)
    speech: npt.NDArray[np.bool_] = field(repr=False)
    level_db: float
    snr_db: float
    clipped: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.pcm) / SAMPLE_RATE_HZ

    @property
    def speech_s(self) -> float:
        """How long it speaks, without pauses."""
        return float(np.count_nonzero(self.speech)) * _BLOCK_S

    @property
    def pauses(self) -> list[Pause]:
        """The pauses between its first sound and its last."""
        runs = _runs(self.speech)
        ends = itertools.accumulate(stop - start for start, stop in runs)
        between = zip(runs, runs[1:], ends, strict=False)
        return [Pause(a[1] * _BLOCK_S, b[0] * _BLOCK_S, spoken * _BLOCK_S) for a, b, spoken in between]

    def until(self, pause: Pause) -> Recording:
        """Return what comes before a pause, with its first 0.2 s at most.

        Raises:
            AudioError: that cannot be used by itself.
        """
        end_s = min(pause.start_s + MARGIN_S, pause.end_s)
        return _examine(self.pcm[: round(end_s * SAMPLE_RATE_HZ)], self.clipped)

    @property
    def gain_db(self) -> float:
        """What brings its speech to `LEVEL_DB`, or as near to it as no peak above `PEAK_DB` allows."""
        return min(LEVEL_DB - self.level_db, PEAK_DB - 20 * float(np.log10(np.abs(self.pcm).max())))

    def levelled(self) -> Pcm:
        """Return its samples, levelled by `gain_db`, and faded in and out over 5 ms."""
        pcm: Pcm = self.pcm * np.float32(10 ** (self.gain_db / 20))
        fade = np.linspace(0, 1, _FADE, dtype=np.float32)
        pcm[:_FADE] *= fade
        pcm[-_FADE:] *= fade[::-1]
        return pcm


def prepare(sound: npt.NDArray[np.float32], sample_rate: int, *, max_seconds: float) -> Recording:
    """Make a recording ready: mixed down, resampled, trimmed, examined. Safe from any thread.

    Args:
        sound: float32 [samples] or [samples, channels], full scale at 1.
        sample_rate: in Hz.
        max_seconds: the longest allowed.

    Raises:
        AudioError: it is no such sound, or it is silent, clipped, noisy, or has less than 1 s of speech.
    """
    channels = sound[:, None] if sound.ndim == 1 else sound
    if channels.ndim != 2 or not channels.shape[1]:
        raise AudioError(f"the recording has shape {sound.shape}; it must be [samples] or [samples, channels]")
    checked = np.stack([check_pcm(one, sample_rate, max_seconds=max_seconds) for one in channels.T], axis=1)
    clipped = _clipped(checked)
    if clipped > MAX_CLIPPED:
        raise AudioError(
            f"the recording is clipped: {clipped:.2%} of its samples are as loud as the file can hold, at most "
            f"{MAX_CLIPPED:.2%} may be; record it again with less gain"
        )
    checked -= checked.mean(axis=0)
    return _examine(resample(_mixed(checked), sample_rate, SAMPLE_RATE_HZ), clipped)


def _clipped(channels: npt.NDArray[np.float32]) -> float:
    """Return the share of samples at full scale, or at the channel's own highest level, of the worst channel.

    What was clipped and then made quieter has a flat top below full scale.
    """
    sizes = np.abs(channels)
    tops = np.minimum(sizes.max(axis=0) - 1.5 / 32_768, 0.999)
    return float((sizes >= np.maximum(tops, 1e-3)).mean(axis=0).max())


def _mixed(channels: npt.NDArray[np.float32]) -> Pcm:
    """Return the channels' mean, or the loudest where they cancel each other out; [samples]."""
    mean: Pcm = channels.mean(axis=1)
    powers = np.square(channels).mean(axis=0)
    loudest: Pcm = channels[:, powers.argmax()]
    return mean if float(np.square(mean).mean()) > powers.max() / 16 else loudest


def _examine(pcm: Pcm, clipped: float) -> Recording:
    """Trim a recording and judge it; [samples] at 24 kHz.

    Raises:
        AudioError: it is silent or noisy, or has less than 1 s of speech.
    """
    powers = _powers(pcm)
    levels_db = 10 * np.log10(powers + 1e-12)
    heard = levels_db[_smooth(np.var(_blocks(pcm), axis=1) < 10 ** (_NO_SOUND_DB / 10)) == 0]
    loudest_db = float(np.percentile(heard, 95)) if len(heard) else _NO_SOUND_DB
    if loudest_db < MIN_LEVEL_DB:
        raise AudioError(
            f"the recording is silent: its loudest parts are at {loudest_db:.0f} dBFS, and must be above "
            f"{MIN_LEVEL_DB:.0f}; record it again, nearer to the microphone"
        )
    noise_db = float(np.percentile(heard, 5))
    lowest_db = max(loudest_db - _QUIET_DB, min(noise_db + _ABOVE_NOISE_DB, loudest_db - 3))
    loud = levels_db > lowest_db
    level_db = 10 * float(np.log10(powers[loud].mean()))
    if level_db - noise_db < MIN_SNR_DB:
        raise AudioError(
            f"the recording is noisy: its speech is {level_db - noise_db:.0f} dB above the noise, at least "
            f"{MIN_SNR_DB:.0f} dB are needed; record it in a quieter place, or nearer to the microphone"
        )
    speech = _speech(loud)
    seconds = np.count_nonzero(speech) * _BLOCK_S
    if seconds < MIN_SPEECH_S:
        raise AudioError(
            f"the recording has {seconds:.1f} s of speech; at least {MIN_SPEECH_S:g} s are needed, 5 to 30 s are good"
        )
    first, last = np.flatnonzero(speech)[[0, -1]]
    margin = round(MARGIN_S / _BLOCK_S)
    start, stop = max(0, int(first) - margin), min(len(speech), int(last) + 1 + margin)
    kept = pcm[start * _BLOCK : stop * _BLOCK].copy()
    return Recording(kept, speech[start:stop], level_db, level_db - noise_db, clipped)


def _powers(pcm: Pcm) -> npt.NDArray[np.float64]:
    """Return the power of each block, smoothed; [blocks]."""
    return _smooth(np.square(_blocks(pcm)).mean(axis=1))


def _blocks(pcm: Pcm) -> npt.NDArray[np.float64]:
    return np.pad(pcm, (0, -len(pcm) % _BLOCK)).reshape(-1, _BLOCK).astype(np.float64)


def _smooth(blocks: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the mean of each block and those beside it; [blocks]."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(blocks, 1, mode="edge"), 3).mean(axis=1)


def _speech(loud: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which blocks are speech: short gaps filled, short sounds dropped; [blocks]."""
    speech = np.zeros_like(loud)
    runs = _runs(loud)
    for (_, stop), (start, _) in itertools.pairwise(runs):
        speech[stop:start] = start - stop < PAUSE_BLOCKS
    speech |= loud
    for start, stop in _runs(speech):
        speech[start:stop] = stop - start >= _SHORTEST_BLOCKS
    return speech


def _runs(marks: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return where stretches of true begin and end."""
    edges = np.flatnonzero(np.diff(np.pad(marks.astype(np.int8), 1)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
