"""The ear stage: a small network that hears phonemes, to tell the decoder what matters in speech.

Spectral distances count every decibel alike, so a decoder blurs the formants that tell one vowel from another. What a
recogniser of phonemes computes on its way weighs them as a listener does (perceptual losses: J. Johnson, A. Alahi and
L. Fei-Fei, 2016). It hears speech through changing filters and in noise, so that it does not mind either.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.codec.codebooks import load_coder
from training.codec.crops import PHONEME_SAMPLES, Crops, CropSampler, crops_of
from training.codec.spectra import mel_filters
from training.corpus.phonemes import PHONEMES
from training.corpus.synthesis import SAMPLE_RATE
from training.steps import checkpoint, muon
from training.steps.devices import choose
from training.steps.loop import train

STAGE = "ear"
STATE = "ear.safetensors"
_WINDOW, _BANDS, _CHANNELS = 512, 64, 128
_DILATIONS = (1, 2, 4, 8)
_FLOOR, _MEAN_LEVEL, _SPREAD = 1e-3, -4.5, 1.4
_TILTS, _TILT_DB = 4, 2.0  # cosines over frequency that make a random filter, and how strong each is
_NOISE = (-4.0, -1.5)  # powers of ten of its amplitude


@dataclass(frozen=True, slots=True)
class Plan:
    """How the ear is trained."""

    steps: int = 2_000
    batch: int = 10
    frames: int = 20
    rate: float = 2e-3
    warmup_steps: int = 100
    shards: int = 24  # a fixed number, so that a resumed run sees the same crops
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: a ramp, and a straight line down."""
        return self.rate * min(1.0, (step + 1) / self.warmup_steps) * max(0.02, 1.0 - step / self.steps)


class Ear(nn.Module):
    """Log-mel bands every 5 ms, five layers of convolutions, and a head for phonemes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", mel_filters(_WINDOW, _BANDS, SAMPLE_RATE), persistent=False)
        self.register_buffer("window", torch.hann_window(_WINDOW), persistent=False)
        first = nn.Conv1d(_BANDS, _CHANNELS, 5, padding=2)
        others = [nn.Conv1d(_CHANNELS, _CHANNELS, 3, padding=wide, dilation=wide) for wide in _DILATIONS]
        self.convolutions = nn.ModuleList([first, *others])
        self.norms = nn.ModuleList([nn.GroupNorm(1, _CHANNELS) for _ in self.convolutions])
        self.head = nn.Conv1d(_CHANNELS, len(PHONEMES), 1)

    def forward(self, audio: Tensor) -> Tensor:
        """Audio [B, samples] -> logits of the phoneme every 5 ms, [B, phonemes, positions]."""
        return self.head(self.layers(audio)[-1])

    def layers(self, audio: Tensor) -> list[Tensor]:
        """What each layer says of audio [B, samples]: [B, channels, positions]."""
        hidden = self._bands(audio)
        found: list[Tensor] = []
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            heard = F.gelu(norm(convolution(hidden)))
            hidden = hidden + heard if found else heard
            found.append(hidden)
        return found

    def distance(self, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """How differently two recordings [B, samples] are heard: layer by layer, and in phonemes."""
        with torch.no_grad():
            right = self.layers(wanted)
            named = self.head(right[-1]).log_softmax(dim=1)
        found = self.layers(made)
        apart = [(one - other).abs().mean() / other.abs().mean() for one, other in zip(found, right, strict=True)]
        mistaken = F.kl_div(self.head(found[-1]).log_softmax(dim=1), named, log_target=True, reduction="none")
        return {"heard": torch.stack(apart).mean(), "mistaken": mistaken.sum(dim=1).mean()}

    def _bands(self, audio: Tensor) -> Tensor:
        window, filters = self.get_buffer("window"), self.get_buffer("filters")
        padded = F.pad(audio, ((_WINDOW - PHONEME_SAMPLES) // 2,) * 2)
        spectrum = torch.stft(padded, _WINDOW, PHONEME_SAMPLES, window=window, center=False, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()  # a magnitude's slope is infinite at zero
        level = (filters @ ((power + 1e-9).sqrt() / window.norm()) + _FLOOR).log()
        bands = (level - _MEAN_LEVEL) / _SPREAD
        return bands - bands.mean(dim=(1, 2), keepdim=True)


class EarTrainer:
    """The ear and its optimiser; `step` is how many steps were taken."""

    def __init__(self, plan: Plan, device: torch.device, sampler: CropSampler) -> None:
        """
        Args:
            plan: how to train.
            device: where.
            sampler: of the crops.
        """
        torch.manual_seed(plan.seed)
        self.plan, self.device, self.sampler, self.step = plan, device, sampler, 0
        self.ear = Ear().to(device)
        self.optimiser = torch.optim.AdamW(self.ear.parameters(), plan.rate, weight_decay=1e-2)

    def take_step(self) -> dict[str, float]:
        """The step that comes next; returns the loss, and the share of phonemes heard right."""
        return self.train_step(self.sampler.batch(self.plan.batch, (self.plan.seed, self.step)))

    def train_step(self, crops: Crops) -> dict[str, float]:
        """One step on a batch; returns the loss, and the share of phonemes heard right."""
        muon.prepare([self.optimiser], self.plan.rate_at(self.step) / self.plan.rate)
        generator = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.step)
        wanted = torch.from_numpy(crops.phonemes).to(self.device)
        named = self.ear(_disguised(torch.from_numpy(crops.audio), generator).to(self.device))
        loss = F.cross_entropy(named, wanted)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        return {"loss": loss.item(), "right": (named.argmax(dim=1) == wanted).float().mean().item()}

    def save(self, path: Path) -> None:
        """Write the whole state, atomically."""
        checkpoint.save(path, {STAGE: self.ear}, [self.optimiser], {"step": self.step, "plan": asdict(self.plan)})

    def load(self, path: Path) -> None:
        """Go on from a saved state.

        Raises:
            CorruptFile: the file is damaged or of other sizes.
        """
        self.step = checkpoint.load(path, {STAGE: self.ear}, [self.optimiser], STAGE)["step"]


def _disguised(audio: Tensor, generator: torch.Generator) -> Tensor:
    """Audio [B, samples] through random filters, with noise."""
    spectrum = torch.fft.rfft(audio)
    frequency = torch.linspace(0, torch.pi, spectrum.shape[1])
    shapes = torch.stack([torch.cos(number * frequency) for number in range(_TILTS)])
    gain_db = _TILT_DB * torch.randn(len(audio), _TILTS, generator=generator) @ shapes
    filtered = torch.fft.irfft(spectrum * 10 ** (gain_db / 20), audio.shape[1])
    low, high = _NOISE
    amplitude = 10 ** (low + (high - low) * torch.rand(len(audio), 1, generator=generator))
    return filtered + amplitude * torch.randn(audio.shape, generator=generator)


def load_ear(folder: Path) -> Ear:
    """What the stage made; its weights stay as they are.

    Raises:
        MissingInput: it was not run.
        CorruptFile: its file is damaged.
    """
    ear = Ear()
    checkpoint.load(folder / STATE, {STAGE: ear}, [], STAGE)
    return ear.requires_grad_(False)


def run(folder: Path, minutes: float, steps: int | None = None, device: str = "auto", batch: int | None = None) -> None:
    """Train the ear until its plan is done or the minutes are spent; goes on from where it stopped.

    Args:
        folder: of the stages.
        minutes: how long to work at most.
        steps: that the schedule is planned for.
        device: `cpu`, `cuda` or `auto`.
        batch: crops a step; a GPU takes many more than the plan has.

    Raises:
        MissingInput: there is no corpus, or there are no codebooks.
        CorruptFile: the state is damaged or of other sizes.
    """
    plan = Plan()
    plan = replace(plan, steps=steps or plan.steps, batch=batch or plan.batch)
    coder = load_coder(folder)
    sampler = crops_of(folder, coder, plan.shards, plan.frames)
    trainer = EarTrainer(plan, choose(device), sampler)
    if (folder / STATE).exists():
        trainer.load(folder / STATE)
    train(trainer, STAGE, plan.steps, folder, minutes)
