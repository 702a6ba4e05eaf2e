"""How far a reconstruction is from speech, seen through spectra of several resolutions."""

import math

import torch
from torch import Tensor, nn

_RESOLUTIONS = ((256, 64, 32), (512, 128, 64), (1024, 256, 80), (2048, 512, 100))  # window, hop, mel bands at 24 kHz
_LOW_RESOLUTIONS = ((1024, 256), (2048, 256))  # long windows: they tell harmonics apart
_FULL_RATE = 24_000
_LOW_HZ = 1_500.0
_WEIGHTS = {"mel": 6.0, "magnitude": 1.0, "convergence": 0.5, "low": 0.5, "phase": 0.5}
_FLOOR = 3e-3  # about -30 dB under speech: below it nothing is worth learning


class SpectralDistance(nn.Module):
    """Log-mel, log-magnitude and spectral convergence in four resolutions, and the low harmonics with their phase.

    The low part is what carries pitch: long windows resolve single harmonics, and the complex difference asks for
    their phase, without which a decoder paints noise where a tone belongs.
    """

    def __init__(self, sample_rate: int = _FULL_RATE) -> None:
        """
        Args:
            sample_rate: of the audio to compare; windows are as long in seconds at every rate.
        """
        super().__init__()
        self.sample_rate = sample_rate
        slower = _FULL_RATE // sample_rate
        self._resolutions = tuple((size // slower, hop // slower, bands) for size, hop, bands in _RESOLUTIONS)
        self._low_resolutions = tuple((size // slower, hop // slower) for size, hop in _LOW_RESOLUTIONS)
        for size, _, bands in self._resolutions:
            self.register_buffer(f"mel_{size}", mel_filters(size, bands, sample_rate), persistent=False)
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def forward(self, made: Tensor, wanted: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Distance of audio [B, N] from audio [B, N].

        Args:
            made: the reconstruction.
            wanted: the speech.
            step: half of the resolutions take part in even steps, half in odd ones.

        Returns:
            The distance, and its parts by name.
        """
        parts = {name: made.new_zeros(()) for name in _WEIGHTS}
        resolutions, low_resolutions = self._resolutions[step % 2 :: 2], self._low_resolutions[step % 2 :: 2]
        for size, hop, _ in resolutions:
            one, other = self._spectrum(made, size, hop).abs(), self._spectrum(wanted, size, hop).abs()
            filters = getattr(self, f"mel_{size}")
            parts["mel"] += _log_distance(filters @ one, filters @ other) / len(resolutions)
            parts["magnitude"] += _log_distance(one, other) / len(resolutions)
            parts["convergence"] += ((one - other).norm() / (other.norm() + 1e-3)) / len(resolutions)
        for size, hop in low_resolutions:
            bins = int(_LOW_HZ / self.sample_rate * size)
            one, other = (self._spectrum(audio, size, hop)[:, 1:bins] for audio in (made, wanted))
            parts["low"] += _log_distance(one.abs(), other.abs()) / len(low_resolutions)
            power = other.abs().square().sum(dim=(1, 2)) + 1e-2
            parts["phase"] += ((one - other).abs().square().sum(dim=(1, 2)) / power).mean() / len(low_resolutions)
        total = torch.stack([_WEIGHTS[name] * value for name, value in parts.items()]).sum()
        return total, parts

    def _spectrum(self, audio: Tensor, size: int, hop: int) -> Tensor:
        """Complex [B, bins, frames]; white noise keeps its level whatever the window."""
        window = getattr(self, f"window_{size}")
        spectrum = torch.stft(audio, size, hop, window=window, center=True, return_complex=True)
        return spectrum / window.norm()


def _log_distance(one: Tensor, other: Tensor) -> Tensor:
    return ((one + _FLOOR).log() - (other + _FLOOR).log()).abs().mean()


def mel_filters(size: int, bands: int, sample_rate: int) -> Tensor:
    """Triangular filters [bands, size / 2 + 1], each summing to one."""

    def mel(hz: float) -> float:
        return 2595.0 * math.log10(1.0 + hz / 700.0)

    edges = 700.0 * (10.0 ** (torch.linspace(mel(0.0), mel(sample_rate / 2), bands + 2) / 2595.0) - 1.0)
    bins = torch.linspace(0.0, sample_rate / 2, size // 2 + 1)
    width = sample_rate / size  # a band narrower than a bin would be empty
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - low) / (middle - low).clamp(min=width)
    falling = (high - bins) / (high - middle).clamp(min=width)
    filters = torch.minimum(rising, falling).clamp(min=0.0)
    return filters / filters.sum(dim=1, keepdim=True).clamp(min=1e-6)
