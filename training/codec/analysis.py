"""What a frame of speech is, in numbers: its spectral envelope, its pitch, and the phase of the voice.

A codec that learns its codes and its decoder together needs a GPU and days. Clean speech does not: all that there is to
code can be measured. Every value here depends on the audio up to the end of its frame only, so that a
causal encoder can learn to give it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training.codec.spectra import mel_filters
from training.corpus.synthesis import SAMPLE_RATE
from training.sizes import FRAME_SAMPLES

BANDS, POSITIONS = 40, 8  # log-mel bands, and how many spectra a frame has
ENVELOPE = BANDS * POSITIONS
TONE = 6
STEP_SAMPLES = 20  # the fundamental is known 1,200 times a second
STEPS_A_FRAME = FRAME_SAMPLES // STEP_SAMPLES
ANCHOR_STEP = 84  # of 96: where in a frame the phase is taken; late, so that little of a frame lies beyond it
REFERENCE_HZ = 130.0
_WINDOW, _HOP = 512, FRAME_SAMPLES // POSITIONS
_SHIFT = 136  # samples by which the windows come early, so that the last one ends with its frame
_FLOOR, _MEAN_LEVEL, _SPREAD = 3e-3, -4.5, 1.4  # about -30 dB under speech: below it nothing is worth coding
_BAND = (0.55, 0.7, 1.45, 1.65)  # against the voice's usual pitch: rising edge, falling edge
_VOICED = 0.02  # amplitude of the fundamental


@dataclass(frozen=True, slots=True)
class Analysis:
    """A recording frame by frame.

    Args:
        envelope: float32 [T, ENVELOPE], log-mel bands of eight moments, of about unit variance.
        tone: float32 [T, TONE]: cosine and sine of the fundamental's phase at the anchor (0, 0 where it is not voiced),
            pitch of the first and second half in octaves above 130 Hz (0 where it is not voiced), and whether each
            half is voiced.
    """

    envelope: Tensor
    tone: Tensor


def analyse(audio: Tensor, usual_hz: float) -> Analysis:
    """Analyse a recording.

    Args:
        audio: float32 [samples] at 24 kHz; the last frame is filled up with silence.
        usual_hz: the voice's usual pitch; the fundamental is looked for around it.
    """
    whole = F.pad(audio, (0, -len(audio) % FRAME_SAMPLES))
    return Analysis(_envelope(whole), _tone(whole, usual_hz))


def _envelope(audio: Tensor) -> Tensor:
    positions = len(audio) // _HOP
    before = _WINDOW // 2 - _HOP // 2 + _SHIFT
    padded = F.pad(audio, (before, _WINDOW))[: (positions - 1) * _HOP + _WINDOW]
    window = torch.hann_window(_WINDOW)
    spectrum = torch.stft(padded, _WINDOW, _HOP, window=window, center=False, return_complex=True)
    level = (mel_filters(_WINDOW, BANDS, SAMPLE_RATE) @ (spectrum.abs() / window.norm()) + _FLOOR).log()
    return ((level - _MEAN_LEVEL) / _SPREAD).T.reshape(-1, ENVELOPE)


def _tone(audio: Tensor, usual_hz: float) -> Tensor:
    tone, voiced = fundamental(audio[None], torch.tensor([usual_hz]))
    tone, sounding = tone[0].view(-1, STEPS_A_FRAME), voiced[0].view(-1, STEPS_A_FRAME).float()
    anchored = (sounding[:, ANCHOR_STEP - 6 : ANCHOR_STEP + 6].mean(dim=1) > 0.7).float()
    phase = torch.view_as_real(tone[:, ANCHOR_STEP]) * anchored[:, None]
    pitches, flags = [], []
    for half in (slice(0, STEPS_A_FRAME // 2), slice(STEPS_A_FRAME // 2, STEPS_A_FRAME)):
        turn = (tone[:, half][:, 1:] * tone[:, half][:, :-1].conj()).mean(dim=1).angle().clamp(min=0.1)
        flag = (sounding[:, half].mean(dim=1) > 0.5).float()
        pitches.append(torch.log2(turn * (SAMPLE_RATE / STEP_SAMPLES / (2 * math.pi)) / REFERENCE_HZ) * flag)
        flags.append(flag)
    return torch.cat([phase, torch.stack([*pitches, *flags], dim=1)], dim=1)


def fundamental(audio: Tensor, usual_hz: Tensor) -> tuple[Tensor, Tensor]:
    """The fundamental of voices, from a filter around their usual pitch.

    Args:
        audio: [B, samples], whole frames.
        usual_hz: [B].

    Returns:
        Complex [B, steps] of magnitude one, and bool [B, steps] where it is loud enough to mean something.
    """
    samples = audio.shape[1]
    spectrum = torch.fft.rfft(audio)
    ratio = torch.fft.rfftfreq(samples, 1 / SAMPLE_RATE, device=audio.device) / usual_hz[:, None]
    low, lower, upper, high = _BAND
    gain = ((ratio - low) / (lower - low)).clamp(0, 1) * ((high - ratio) / (high - upper)).clamp(0, 1)
    tone = torch.fft.ifft(F.pad(2 * spectrum * gain, (0, samples - spectrum.shape[1])))
    tone = tone[:, STEP_SAMPLES // 2 :: STEP_SAMPLES]
    return tone / (tone.abs() + 1e-6), tone.abs() > _VOICED
