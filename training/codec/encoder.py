"""The encoder stage: from speech to the vectors that the codebooks code."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import MimiModel

from training.codec import codes
from training.codec.analysis import TONE, analyse
from training.codec.codebooks import Coder, load_coder
from training.codec.codec import encoder_modules, place_codebooks
from training.codec.crops import Crops, CropSampler, crops_of
from training.sizes import codec_config
from training.steps import checkpoint, muon
from training.steps.average import Average
from training.steps.devices import autocast, choose
from training.steps.initialise import unit_variance
from training.steps.loop import geometric, train

STAGE = "encoder"
STATE = "encoder.safetensors"
_EDGE = 1  # frames at both ends of a crop whose surroundings the analysis does not see


@dataclass(frozen=True, slots=True)
class Plan:
    """How the encoder is trained."""

    steps: int = 12_000
    batch: int = 8
    frames: int = 20
    rate: float = 1.5e-3  # of AdamW
    matrix_rate: float = 0.012  # of Muon, falling alike
    end_rate: float = 3e-5
    plateau_share: float = 0.3
    noise: float = 3e-4  # amplitude of the noise added to the audio, so that no value of it means anything alone
    shards: int = 24  # a fixed number, so that a resumed run sees the same crops
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: a ramp, a plateau, and a fall by equal factors."""
        share = (step / self.steps - self.plateau_share) / (1 - self.plateau_share)
        return min(1.0, (step + 1) / 100) * geometric(self.rate, self.end_rate, share)


class EncoderTrainer:
    """Mimi's encoder and what is needed to train it; `step` is how many steps were taken."""

    def __init__(self, plan: Plan, device: torch.device, sampler: CropSampler, coder: Coder) -> None:
        """
        Args:
            plan: how to train.
            device: where.
            sampler: of the crops.
            coder: who knows the vectors.
        """
        torch.manual_seed(plan.seed)
        self.plan, self.device, self.sampler, self.coder, self.step = plan, device, sampler, coder, 0
        self.codebooks = codes.fingerprint(coder)
        self.codec = MimiModel(codec_config())
        place_codebooks(self.codec, coder)
        audio = torch.from_numpy(sampler.batch(plan.batch, (plan.seed, 0)).audio)[:, None]
        unit_variance(self.codec, lambda: self.codec.encoder(audio).latents, None)
        self.codec = self.codec.to(device)
        self.trained = encoder_modules(self.codec)
        matrices, others = muon.split(self.trained.named_parameters(), lambda name: True)
        self.optimisers = (
            muon.Muon(matrices, plan.matrix_rate),
            torch.optim.AdamW(others, plan.rate, betas=(0.8, 0.98), weight_decay=1e-3),
        )
        self.average = Average(self.trained)

    def take_step(self) -> dict[str, float]:
        """The step that comes next; returns the losses by name."""
        return self.train_step(self.sampler.batch(self.plan.batch, (self.plan.seed, self.step)))

    def train_step(self, crops: Crops) -> dict[str, float]:
        """One step on a batch; returns the losses by name."""
        muon.prepare(self.optimisers, self.plan.rate_at(self.step) / self.plan.rate)
        generator = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.step)
        audio = torch.from_numpy(crops.audio)
        wanted = [self.coder.vectors_of(analyse(row, hz)) for row, hz in zip(audio, crops.usual_hz, strict=True)]
        semantic, acoustic = (torch.stack([pair[index] for pair in wanted]).to(self.device) for index in (0, 1))
        noisy = audio + self.plan.noise * torch.randn(audio.shape, generator=generator)
        found_semantic, found_acoustic = self.encode(noisy.to(self.device))
        inside = slice(_EDGE, -_EDGE)
        parts = {
            "semantic": _distance(found_semantic, semantic, inside),
            "envelope": _distance(found_acoustic[..., :-TONE], acoustic[..., :-TONE], inside),
            "phase": _distance(found_acoustic[..., -TONE : -TONE + 2], acoustic[..., -TONE : -TONE + 2], inside),
            "pitch": _distance(found_acoustic[..., -TONE + 2 :], acoustic[..., -TONE + 2 :], inside),
        }
        loss = torch.stack(list(parts.values())).sum()
        loss.backward()
        parts["gradient"] = nn.utils.clip_grad_norm_(self.trained.parameters(), 5.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.follow(self.trained)
        self.step += 1
        return {"loss": loss.item(), **{name: value.item() for name, value in parts.items()}}

    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """The semantic and the acoustic vectors of audio [B, samples]: float32 [B, T, VECTOR] each."""
        quantizer = self.codec.quantizer
        with autocast(self.device):
            latents = self.codec.encoder(audio[:, None]).latents
            halves = quantizer.semantic_residual_vector_quantizer, quantizer.acoustic_residual_vector_quantizer
            semantic, acoustic = (half.input_proj(latents).float().transpose(1, 2) for half in halves)
        return semantic, acoustic

    def save(self, path: Path) -> None:
        """Write the whole state, atomically."""
        about = {"step": self.step, "codebooks": self.codebooks, "plan": asdict(self.plan)}
        checkpoint.save(path, self._modules(), self.optimisers, about)

    def load(self, path: Path) -> None:
        """Go on from a saved state.

        Raises:
            CorruptFile: the file is damaged or of other sizes.
            TrainingError: it was trained with other codebooks.
        """
        about = checkpoint.load(path, self._modules(), self.optimisers, STAGE)
        if about["codebooks"] != self.codebooks:
            raise codes.other_codebooks(path, about["codebooks"], self.codebooks)
        if "trained" in about["absent"]:
            self.average.put_into(self.trained)
        self.step = about["step"]

    def _modules(self) -> dict[str, nn.Module]:
        return {"trained": self.trained, "average": self.average}


def _distance(found: Tensor, wanted: Tensor, frames: slice) -> Tensor:
    """Squared distance against the vectors' own energy: 1 for an encoder that says nothing."""
    found, wanted = found[:, frames], wanted[:, frames]
    return (found - wanted).square().sum() / wanted.square().sum().clamp(min=1e-6)


def run(folder: Path, minutes: float, steps: int | None = None, device: str = "auto", batch: int | None = None) -> None:
    """Train the encoder until its plan is done or the minutes are spent; goes on from where it stopped.

    Args:
        folder: of the stages.
        minutes: how long to work at most.
        steps: that the schedule is planned for.
        device: `cpu`, `cuda` or `auto`.
        batch: crops a step; a GPU takes many more than the plan has.

    Raises:
        MissingInput: there is no corpus, or there are no codebooks.
        CorruptFile: the state is damaged or of other sizes.
        TrainingError: the state was trained with other codebooks.
    """
    plan = Plan()
    plan = replace(plan, steps=steps or plan.steps, batch=batch or plan.batch)
    coder = load_coder(folder)
    sampler = crops_of(folder, coder, plan.shards, plan.frames)
    trainer = EncoderTrainer(plan, choose(device), sampler, coder)
    if (folder / STATE).exists():
        trainer.load(folder / STATE)
    train(trainer, STAGE, plan.steps, folder, minutes)
