"""Linear readouts of the decoder's stages, which teach it from the inside; they are dropped after training.

From spectra of its output alone a decoder does not find the envelope and the oscillator that its codes describe for a
very long time. Its stages run at 200, 1,200 and 6,000 values a second. The first is asked for log-mel bands and the
fundamental, the second for the fundamental and the lowest part of the sound, the third for all sound below 3 kHz. So a
decoder can also be trained stage after stage, the cheap ones first.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import MimiModel

from training.codec.analysis import STEP_SAMPLES, fundamental
from training.codec.spectra import SpectralDistance, mel_filters
from training.corpus.synthesis import SAMPLE_RATE

FIRST, SECOND, THIRD = 3, 6, 9  # layers of the decoder, each at the end of a stage
SAMPLES_BETWEEN = {FIRST: 120, SECOND: 20, THIRD: 4}  # of the audio, between two outputs
_WINDOW, _BANDS = 512, 40
_FLOOR, _MEAN_LEVEL, _SPREAD = 3e-3, -4.5, 1.4


class Envelope(nn.Module):
    """Log-mel bands every 5 ms, of about unit variance."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(_WINDOW), persistent=False)
        self.register_buffer("filters", mel_filters(_WINDOW, _BANDS, SAMPLE_RATE), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Audio [B, samples] -> [B, positions, bands]."""
        window, filters, hop = self.get_buffer("window"), self.get_buffer("filters"), SAMPLES_BETWEEN[FIRST]
        padded = F.pad(audio, (_WINDOW // 2 - hop // 2,) * 2)
        spectrum = torch.stft(padded, _WINDOW, hop, window=window, center=False, return_complex=True)
        level = (filters @ (spectrum.abs() / window.norm()) + _FLOOR).log()
        return ((level - _MEAN_LEVEL) / _SPREAD).transpose(1, 2)


class Readouts(nn.Module):
    """What the stages of a decoder say when they are asked."""

    def __init__(self, codec: MimiModel) -> None:
        super().__init__()
        layers = codec.decoder.decoder_seanet.layers
        width = {layer: layers[layer].block[-1].conv.out_channels for layer in SAMPLES_BETWEEN}
        self.envelope = Envelope()
        self.distance = SpectralDistance(SAMPLE_RATE // SAMPLES_BETWEEN[THIRD])
        self.bands = nn.Linear(width[FIRST], _BANDS)
        self.slow_tone = nn.Linear(width[FIRST], 2 * SAMPLES_BETWEEN[FIRST] // STEP_SAMPLES)
        self.tone = nn.Linear(width[SECOND], 2)
        self.lowest = nn.Linear(width[SECOND], 1)
        self.low = nn.Linear(width[THIRD], 1)

    def forward(self, stages: dict[int, Tensor], audio: Tensor, usual_hz: Tensor, step: int) -> dict[str, Tensor]:
        """How far the readouts are from the audio; 1 is about what a readout of nothing would give.

        Args:
            stages: [B, channels, positions] of each layer that was run.
            audio: [B, samples], what is coded.
            usual_hz: [B], the voices' usual pitch.
            step: of training; which resolutions take part.
        """
        given = {layer: hidden.transpose(1, 2).float() for layer, hidden in stages.items()}
        losses = {}
        if FIRST in given:
            tone, voiced = fundamental(audio, usual_hz)
            wanted = torch.view_as_real(tone)  # [B, steps, 2]
            losses["bands"] = (self.bands(given[FIRST]) - self.envelope(audio)).square().mean()
            losses["slow_tone"] = _mean(
                (self.slow_tone(given[FIRST]).view_as(wanted) - wanted).square().sum(-1), voiced
            )
        if SECOND in given:
            losses["tone"] = _mean((self.tone(given[SECOND]) - wanted).square().sum(-1), voiced)
            lowest = decimated(audio, SAMPLES_BETWEEN[SECOND])
            apart = (self.lowest(given[SECOND])[..., 0] - lowest).square().sum(dim=1)
            losses["lowest"] = (apart / (lowest.square().sum(dim=1) + 0.1)).mean()
        if THIRD in given:
            made = self.low(given[THIRD])[..., 0]
            losses["low"] = self.distance(made, decimated(audio, SAMPLES_BETWEEN[THIRD]), step)[0]
        return losses


def decimated(audio: Tensor, factor: int) -> Tensor:
    """Audio [B, samples] at a rate that is lower by a whole factor: [B, samples / factor]."""
    samples = audio.shape[1] // factor
    spectrum = torch.fft.rfft(audio)[:, : samples // 2 + 1].clone()
    spectrum[:, -1] = 0.0
    return torch.fft.irfft(spectrum, samples) / factor


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)
