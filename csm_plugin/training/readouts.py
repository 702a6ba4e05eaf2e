"""What a codec finds hard to discover, asked for inside of it: the voice's fundamental, and the spectral envelope.

A codec of 12.5 frames a second has to carry the phase of the voice in its codes and to run an oscillator in its
decoder. From spectra of its output alone it finds neither for a very long time, and paints tones of its own under a
blurred envelope. Here linear readouts of the quantised latents and of early stages of the decoder are asked for both:
a tone of amplitude one with the phase of the voice, and log-mel bands. The readouts are dropped after training.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import MimiModel

from csm_plugin.training.sizes import FRAME_SAMPLES
from csm_plugin.training.spectra import mel_filters
from csm_plugin.training.synthesis import SAMPLE_RATE

STEP_SAMPLES = 20  # the fundamental is asked for 1,200 times a second
STEPS_A_FRAME = FRAME_SAMPLES // STEP_SAMPLES
_BAND = (0.55, 0.7, 1.45, 1.65)  # against the voice's usual pitch: rising edge, falling edge
_VOICED = 0.02  # amplitude of the fundamental
_TAPS = {3: 120, 6: 20}  # layers of the decoder, and the samples between two of their outputs
_REFERENCE_HZ = 130.0
_WINDOW, _BANDS = 512, 40  # of the envelope
_POSITION_SAMPLES = 120
_ENVELOPE_TAP = 3
_ENVELOPE_AT = (2, 6, 10, 14)  # positions in a frame, for the latents
_FLOOR, _MEAN_LEVEL, _SPREAD = 3e-3, -4.5, 1.4


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


class Envelope(nn.Module):
    """Log-mel bands every 5 ms, of about unit variance."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(_WINDOW), persistent=False)
        self.register_buffer("filters", mel_filters(_WINDOW, _BANDS, SAMPLE_RATE), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Audio [B, samples] -> [B, positions, bands]."""
        window, filters = self.get_buffer("window"), self.get_buffer("filters")
        before = _WINDOW // 2 - _POSITION_SAMPLES // 2
        padded = F.pad(audio, (before, before))
        spectrum = torch.stft(padded, _WINDOW, _POSITION_SAMPLES, window=window, center=False, return_complex=True)
        level = (filters @ (spectrum.abs() / window.norm()) + _FLOOR).log()
        return ((level - _MEAN_LEVEL) / _SPREAD).transpose(1, 2)


class Readouts(nn.Module):
    """Linear readouts of the latents and of two stages of the decoder."""

    def __init__(self, codec: MimiModel) -> None:
        super().__init__()
        self.latent = nn.Linear(codec.config.hidden_size, 3)
        self.latent_envelope = nn.Linear(codec.config.hidden_size, len(_ENVELOPE_AT) * _BANDS)
        layers = codec.decoder.decoder_seanet.layers
        channels = {layer: layers[layer].block[-1].conv.out_channels for layer in _TAPS}
        self.stages = nn.ModuleDict(
            {str(layer): nn.Linear(channels[layer], 2 * (between // STEP_SAMPLES)) for layer, between in _TAPS.items()}
        )
        self.envelope = Envelope()
        self.stage_envelope = nn.Linear(channels[_ENVELOPE_TAP], _BANDS)

    @staticmethod
    def taps() -> tuple[int, ...]:
        """The decoder's layers whose outputs are read."""
        return tuple(_TAPS)

    def forward(self, latents: Tensor, stages: dict[int, Tensor], audio: Tensor, usual_hz: Tensor) -> dict[str, Tensor]:
        """How far the readouts are from the audio; 1 is about what a readout of nothing would give.

        Args:
            latents: [B, D, frames], quantised.
            stages: [B, channels, positions] of each tapped layer.
            audio: [B, samples], what is coded.
            usual_hz: [B], the voices' usual pitch.
        """
        tone, voiced = fundamental(audio, usual_hz)
        bands = self.envelope(audio)
        wanted = torch.view_as_real(tone)  # [B, steps, 2]
        losses = {"frame": self._frame_loss(latents, tone, voiced)}
        for layer, hidden in stages.items():
            read = self.stages[str(layer)](hidden.transpose(1, 2).float()).reshape(wanted.shape)
            losses[f"tone{layer}"] = _mean((read - wanted).square().sum(-1), voiced)
        by_frame = bands.unflatten(1, (-1, FRAME_SAMPLES // _POSITION_SAMPLES))[:, :, list(_ENVELOPE_AT)]
        coarse = self.latent_envelope(latents.transpose(1, 2).float()).view(by_frame.shape)
        losses["bands"] = (coarse - by_frame).square().mean()
        fine = self.stage_envelope(stages[_ENVELOPE_TAP].transpose(1, 2).float())
        losses[f"bands{_ENVELOPE_TAP}"] = (fine - bands).square().mean()
        return losses

    def _frame_loss(self, latents: Tensor, tone: Tensor, voiced: Tensor) -> Tensor:
        """Phase and pitch in the middle of each frame, from its latents."""
        by_frame = tone.unflatten(1, (-1, STEPS_A_FRAME))
        middle = by_frame[:, :, STEPS_A_FRAME // 2]
        turn = (by_frame[:, :, 1:] * by_frame[:, :, :-1].conj()).mean(dim=2).angle().clamp(min=0.1)
        pitch = torch.log2(turn * (SAMPLE_RATE / STEP_SAMPLES / (2 * math.pi)) / _REFERENCE_HZ)
        wanted = torch.cat([torch.view_as_real(middle), pitch[..., None]], dim=-1)
        read = self.latent(latents.transpose(1, 2).float())
        sounding = voiced.unflatten(1, (-1, STEPS_A_FRAME)).float().mean(dim=2) > 0.7
        return _mean(((read - wanted).square() * wanted.new_tensor([1.0, 1.0, 4.0])).sum(-1), sounding)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)
