"""The decoder stage: from codes to speech.

The decoder grows: first its slow layers, up to 1,200 values a second, then those up to 6,000, then all of it. What is
cheap to compute learns the most, and the expensive last layers find good inputs when they begin. Once it gives sound,
it is judged by its spectra, and by an ear that hears phonemes.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import MimiModel

from training.codec import codes
from training.codec.codebooks import Coder, load_coder
from training.codec.codec import decoder_modules, place_codebooks
from training.codec.crops import Crops, CropSampler, crops_of
from training.codec.ear import Ear, load_ear
from training.codec.readouts import SAMPLES_BETWEEN, SECOND, THIRD, Readouts
from training.codec.spectra import SpectralDistance
from training.sizes import codec_config
from training.steps import checkpoint, muon
from training.steps.average import Average
from training.steps.devices import autocast, choose
from training.steps.initialise import unit_variance
from training.steps.loop import geometric, train

STAGE = "decoder"
STATE = "decoder.safetensors"


@dataclass(frozen=True, slots=True)
class Plan:
    """How the decoder is trained; shares are of all steps."""

    steps: int = 10_000
    slow_share: float = 0.1
    middle_share: float = 0.35  # the slow part included
    batch: int = 8
    frames: int = 20
    rate: float = 1.5e-3  # of AdamW
    matrix_rate: float = 0.012  # of Muon, falling alike
    end_rate: float = 3e-5
    distance: float = 0.3  # of the whole sound, against readouts of about one
    heard: float = 4.0
    mistaken: float = 2.5
    settling: int = 200  # steps in which new layers don't move those before them
    shards: int = 24  # a fixed number, so that a resumed run sees the same crops
    seed: int = 0

    def depth(self, step: int) -> int | None:
        """The last layer that is trained; None for all of them."""
        share = step / self.steps
        return SECOND if share < self.slow_share else THIRD if share < self.middle_share else None

    def settles(self, step: int) -> int | None:
        """The layer behind which everything is new and does not move what is before it; None in most steps."""
        since = step - round(self.slow_share * self.steps)
        if 0 <= since < self.settling:
            return SECOND
        return THIRD if 0 <= step - round(self.middle_share * self.steps) < self.settling else None

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: a ramp, a plateau while layers are added, and a fall by equal factors."""
        share = (step / self.steps - self.middle_share) / (1 - self.middle_share)
        return min(1.0, (step + 1) / 100) * geometric(self.rate, self.end_rate, share)


class DecoderTrainer:
    """Mimi's decoder and what is needed to train it; `step` is how many steps were taken."""

    def __init__(self, plan: Plan, device: torch.device, sampler: CropSampler, coder: Coder, ear: Ear) -> None:
        """
        Args:
            plan: how to train.
            device: where.
            sampler: of the crops.
            coder: with the codebooks.
            ear: a trained one.
        """
        torch.manual_seed(plan.seed)
        self.plan, self.device, self.sampler, self.step = plan, device, sampler, 0
        self.codebooks = codes.fingerprint(coder)
        codec = MimiModel(codec_config())
        place_codebooks(codec, coder)
        self._start(codec, sampler.batch(plan.batch, (plan.seed, 0)))
        self.codec = codec.to(device)
        self.readouts = Readouts(codec).to(device)
        self.distance = SpectralDistance().to(device)
        self.ear = ear.to(device)
        self.trained = decoder_modules(codec)
        matrices, others = muon.split(self.trained.named_parameters(), lambda name: "upsample" not in name)
        others += self.readouts.parameters()
        self.optimisers = (
            muon.Muon(matrices, plan.matrix_rate),
            torch.optim.AdamW(others, plan.rate, betas=(0.8, 0.98), weight_decay=1e-3),
        )
        self.average = Average(self.trained)

    @staticmethod
    def _start(codec: MimiModel, crops: Crops) -> None:
        """Scale the fresh weights so that every layer gives unit variance on a batch."""
        chosen = torch.from_numpy(crops.codes).transpose(1, 2)
        unit_variance(codec, lambda: codec.decode(chosen).audio_values, float(crops.audio.std()))

    def take_step(self) -> dict[str, float]:
        """The step that comes next; returns the losses by name."""
        return self.train_step(self.sampler.batch(self.plan.batch, (self.plan.seed, self.step)))

    def train_step(self, crops: Crops) -> dict[str, float]:
        """One step on a batch; returns the losses by name."""
        muon.prepare(self.optimisers, self.plan.rate_at(self.step) / self.plan.rate)
        audio = torch.from_numpy(crops.audio).to(self.device)
        usual_hz = torch.from_numpy(crops.usual_hz).to(self.device)
        depth = self.plan.depth(self.step)
        made, stages = self.decode(torch.from_numpy(crops.codes).to(self.device), depth, self.plan.settles(self.step))
        if made is not None and self.plan.settles(self.step) is None:
            del stages[THIRD]  # the whole sound says the same
        parts = self.readouts(stages, audio, usual_hz, self.step)
        loss = torch.stack([self.plan.distance * parts[name] if name == "low" else parts[name] for name in parts]).sum()
        if made is not None:
            distance, found = self.distance(made, audio, self.step)
            heard = self.ear.distance(made, audio)
            loss = loss + self.plan.distance * distance
            loss = loss + self.plan.heard * heard["heard"] + self.plan.mistaken * heard["mistaken"]
            parts = parts | found | heard
        loss.backward()
        parts["gradient"] = nn.utils.clip_grad_norm_(self.trained.parameters(), 5.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.follow(self.trained)
        self.step += 1
        return {"loss": loss.item(), **{name: value.item() for name, value in parts.items()}}

    def decode(
        self, chosen: Tensor, depth: int | None = None, settles: int | None = None
    ) -> tuple[Tensor | None, dict[int, Tensor]]:
        """Audio [B, N] from codes [B, T, K], and what the layers give that are read out.

        The last layer computes in float32, so that its output is not rounded.

        Args:
            chosen: the codes.
            depth: the layers behind this one are left out, and there is no audio.
            settles: no gradient passes from behind this layer.
        """
        decoder = self.codec.decoder
        with autocast(self.device):
            latents = self.codec.quantizer.decode(chosen.transpose(1, 2))
            slow = decoder.upsample(latents).transpose(1, 2)
            hidden = decoder.decoder_transformer(slow).last_hidden_state.transpose(1, 2)
            *layers, last = decoder.decoder_seanet.layers
            stages = {}
            for index, layer in enumerate(layers):
                hidden = layer(hidden)
                if index in SAMPLES_BETWEEN:
                    stages[index] = hidden
                if index == depth:
                    return None, stages
                if index == settles:
                    hidden = hidden.detach()
        return _to_one_channel(hidden.float(), last.conv), stages

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
        return {"trained": self.trained, "readouts": self.readouts, "average": self.average}


def _to_one_channel(hidden: Tensor, convolution: nn.Conv1d) -> Tensor:
    """A causal convolution [B, C, N] -> [B, N] as one matrix product: several times faster on a CPU."""
    width, samples = convolution.kernel_size[0], hidden.shape[-1]
    taps = torch.einsum("bcn,ck->bkn", hidden, convolution.weight[0])
    delayed = [F.pad(taps[:, k], (width - 1 - k, 0))[:, :samples] for k in range(width)]
    return torch.stack(delayed).sum(dim=0) + convolution.get_parameter("bias")


def run(folder: Path, minutes: float, steps: int | None = None, device: str = "auto", batch: int | None = None) -> None:
    """Train the decoder until its plan is done or the minutes are spent; goes on from where it stopped.

    Args:
        folder: of the stages.
        minutes: how long to work at most.
        steps: that the schedule is planned for.
        device: `cpu`, `cuda` or `auto`.
        batch: crops a step; a GPU takes many more than the plan has.

    Raises:
        MissingInput: there is no corpus, or there are no codebooks, or there is no ear.
        CorruptFile: the state is damaged or of other sizes.
        TrainingError: the state was trained with other codebooks.
    """
    plan = Plan()
    plan = replace(plan, steps=steps or plan.steps, batch=batch or plan.batch)
    coder = load_coder(folder)
    sampler = crops_of(folder, coder, plan.shards, plan.frames)
    trainer = DecoderTrainer(plan, choose(device), sampler, coder, load_ear(folder))
    if (folder / STATE).exists():
        trainer.load(folder / STATE)
    train(trainer, STAGE, plan.steps, folder, minutes)
