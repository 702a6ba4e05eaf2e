"""The codec stage: Mimi from scratch.

Four phases, by step: without quantisation; codebooks placed by k-means; all of it quantised; then the decoder alone,
with a falling learning rate, while the codes stay as they are.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from loguru import logger
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import MimiModel

from csm_plugin.training import checkpoint, corpus, files, pictures
from csm_plugin.training.crops import PHONEME_TIMES_S, Crops, CropSampler
from csm_plugin.training.devices import autocast, choose
from csm_plugin.training.errors import MissingInput
from csm_plugin.training.files import Reminder, Stopwatch
from csm_plugin.training.initialise import unit_variance
from csm_plugin.training.phonemes import PHONEMES
from csm_plugin.training.progress import progress
from csm_plugin.training.quantizer import CodebookLearner
from csm_plugin.training.readouts import Readouts
from csm_plugin.training.sizes import codec_config
from csm_plugin.training.spectra import SpectralDistance

STAGE = "codec"
STATE = "codec.safetensors"
LOSSES = "codec.jsonl"


@dataclass(frozen=True, slots=True)
class Plan:
    """How the codec is trained; shares are of all steps."""

    steps: int = 30_000
    warmup_share: float = 0.1
    joint_share: float = 0.75  # the encoder and the codebooks are done here
    batch: int = 6
    frames: int = 20
    rate: float = 1.5e-3
    joint_end_rate: float = 3e-4
    decoder_rate: float = 7e-4
    end_rate: float = 3e-5
    commitment: float = 0.25
    phonemes: float = 1.0
    readouts: float = 1.5
    shards: int = 24  # a fixed number, so that a resumed run sees the same crops
    seed: int = 0

    def phase(self, step: int) -> str:
        """`continuous`, `joint` or `decoder`."""
        share = step / self.steps
        return "continuous" if share < self.warmup_share else "joint" if share < self.joint_share else "decoder"

    def rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        ramp = min(1.0, (step + 1) / 100)
        share = step / self.steps
        if share < self.joint_share:
            return ramp * _geometric(self.rate, self.joint_end_rate, share / self.joint_share)
        return _geometric(self.decoder_rate, self.end_rate, (share - self.joint_share) / (1 - self.joint_share))


class CodecTrainer:
    """Mimi and what is needed to train it; `step` is how many steps were taken."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.device, self.step = plan, device, 0
        self.codec = MimiModel(codec_config()).to(device)
        self.learner = CodebookLearner(self.codec.quantizer)
        self.phoneme_head = nn.Linear(self.codec.config.codebook_dim, len(PHONEME_TIMES_S) * len(PHONEMES)).to(device)
        self.readouts = Readouts(self.codec).to(device)
        self.distance = SpectralDistance().to(device)
        self.optimiser = torch.optim.AdamW(self._parameters(), plan.rate, betas=(0.8, 0.98), weight_decay=1e-3)

    def initialise(self, crops: Crops) -> None:
        """Scale the fresh weights so that every layer gives unit variance on this batch."""
        audio = torch.from_numpy(crops.audio).to(self.device)[:, None]

        def forward() -> Tensor:
            latents = self.codec.encoder(audio).latents
            return self.codec.decoder(self.learner(latents, quantize=False, learn=False).latents).audio_values

        unit_variance(self.codec, forward, float(audio.std()))

    def decode(self, latents: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Audio [B, N] from latents [B, D, T], and what the tapped layers give.

        The last layer computes in float32, so that its output is not rounded.
        """
        decoder = self.codec.decoder
        hidden = decoder.decoder_transformer(decoder.upsample(latents).transpose(1, 2)).last_hidden_state.transpose(
            1, 2
        )
        *layers, last = decoder.decoder_seanet.layers
        tapped = {}
        for index, layer in enumerate(layers):
            hidden = layer(hidden)
            if index in self.readouts.taps():
                tapped[index] = hidden
        with torch.autocast(self.device.type, enabled=False):
            return _to_one_channel(hidden.float(), last.conv), tapped

    def train_step(self, crops: Crops) -> dict[str, float]:
        """One step on a batch; returns the losses by name."""
        phase = self.plan.phase(self.step)
        joint = phase != "decoder"
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate_at(self.step)
        audio = torch.from_numpy(crops.audio).to(self.device)
        self.codec.encoder.requires_grad_(joint)
        self.codec.quantizer.requires_grad_(joint)
        with autocast(self.device):
            with torch.set_grad_enabled(joint):
                latents = self.codec.encoder(audio[:, None]).latents
                quantized = self.learner(latents, quantize=phase != "continuous", learn=phase == "joint")
            made, tapped = self.decode(quantized.latents)
        loss, parts = self.distance(made, audio, self.step)
        usual_hz = torch.from_numpy(crops.usual_hz).to(self.device)
        read = self.readouts(quantized.latents, tapped, audio, usual_hz)
        loss = loss + self.plan.readouts * torch.stack(list(read.values())).sum()
        parts |= read
        if joint:
            spoken = torch.from_numpy(crops.phonemes).to(self.device)
            logits = self.phoneme_head(quantized.semantic).unflatten(-1, (len(PHONEME_TIMES_S), len(PHONEMES)))
            parts["phonemes"] = F.cross_entropy(logits.flatten(0, 2), spoken.flatten())
            parts["commitment"] = quantized.commitment
            loss = loss + self.plan.phonemes * parts["phonemes"] + self.plan.commitment * quantized.commitment
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        parts["gradient"] = nn.utils.clip_grad_norm_(self.codec.parameters(), 50.0)
        self.optimiser.step()
        self.step += 1
        return {"loss": loss.item(), **{name: value.item() for name, value in parts.items()}}

    @torch.no_grad()
    def place_codebooks(self, batches: list[Crops]) -> None:
        """K-means on the latents of some batches."""
        latents = [self.codec.encoder(torch.from_numpy(b.audio).to(self.device)[:, None]).latents for b in batches]
        self.learner.initialise(torch.cat([part.transpose(0, 1).flatten(1) for part in latents], dim=1), self.plan.seed)

    def save(self, path: Path) -> None:
        """Write the whole state, atomically."""
        about = {"step": self.step, "plan": asdict(self.plan)}
        checkpoint.save(path, self._modules(), self.optimiser, about)

    def load(self, path: Path) -> None:
        """Go on from a saved state.

        Raises:
            CorruptFile: the file is damaged or of other sizes.
        """
        self.step = checkpoint.load(path, self._modules(), self.optimiser, STAGE)["step"]
        for layer in self.codec.quantizer.modules():
            if hasattr(layer, "embed_sum"):
                layer._embed = None

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for module in self._modules().values() for parameter in module.parameters()]

    def _modules(self) -> dict[str, nn.Module]:
        return {"codec": self.codec, "phoneme_head": self.phoneme_head, "readouts": self.readouts}


def _to_one_channel(hidden: Tensor, convolution: nn.Conv1d) -> Tensor:
    """A causal convolution [B, C, N] -> [B, N] as one matrix product: several times faster on a CPU."""
    width, samples = convolution.kernel_size[0], hidden.shape[-1]
    taps = torch.einsum("bcn,ck->bkn", hidden, convolution.weight[0])
    delayed = [F.pad(taps[:, k], (width - 1 - k, 0))[:, :samples] for k in range(width)]
    return torch.stack(delayed).sum(dim=0) + convolution.get_parameter("bias")


def load_codec(folder: Path, trained: Literal["somewhat", "codes", "wholly"] = "wholly") -> MimiModel:
    """The trained codec.

    Args:
        folder: of the stages.
        trained: how far it has to be: anything will do, its codes are settled, or its decoder is done, too.

    Raises:
        MissingInput: it has not been trained that far.
        CorruptFile: its file is damaged.
    """
    tensors, about = files.load_tensors(folder / STATE, STAGE)
    steps, joint_share = about["plan"]["steps"], about["plan"]["joint_share"]
    needed = {"somewhat": 0, "codes": round(steps * joint_share), "wholly": steps}[trained]
    if about["step"] < needed:
        raise MissingInput(
            f"the codec is at step {about['step']} and needs {needed}. Run: "
            f"python -m csm_plugin.training codec --folder {folder} --steps {steps}"
        )
    codec = MimiModel(codec_config())
    own = {name.removeprefix("codec."): value for name, value in tensors.items() if name.startswith("codec.")}
    codec.load_state_dict(own)
    return codec.eval()


def _geometric(first: float, last: float, share: float) -> float:
    return first * (last / first) ** share


def run(folder: Path, minutes: float, steps: int | None = None, device: str = "auto", batch: int | None = None) -> None:
    """Train the codec until its plan is done or the minutes are spent; goes on from where it stopped.

    Args:
        folder: of the stages.
        minutes: how long to work at most.
        steps: that the schedule is planned for.
        device: `cpu`, `cuda` or `auto`.
        batch: crops a step; a GPU takes many more than the plan has.

    Raises:
        MissingInput: there is no corpus.
        CorruptFile: the state is damaged or of other sizes.
    """
    plan = Plan()
    plan = replace(plan, steps=steps or plan.steps, batch=batch or plan.batch)
    trainer = CodecTrainer(plan, choose(device))
    state = folder / STATE
    sampler = CropSampler(list(corpus.shards(folder, plan.shards)), plan.frames)
    if state.exists():
        trainer.load(state)
        logger.info("codec goes on from step {}", trainer.step)
    else:
        trainer.initialise(sampler.batch(plan.batch, (plan.seed, 0)))
    watch, reminder = Stopwatch(minutes), Reminder()
    with progress("codec", plan.steps) as bar, (folder / LOSSES).open("a") as losses:
        while trainer.step < plan.steps and watch.tick():
            starts_joint = plan.phase(trainer.step) != "continuous" and plan.phase(trainer.step - 1) == "continuous"
            if starts_joint:
                trainer.place_codebooks([sampler.batch(plan.batch, (plan.seed + 1, i)) for i in range(48)])
                logger.info("codebooks placed at step {}", trainer.step)
            found = trainer.train_step(sampler.batch(plan.batch, (plan.seed, trainer.step)))
            bar.show(trainer.step, f"loss {found['loss']:.3f}")
            losses.write(json.dumps({"step": trainer.step, **{k: round(v, 4) for k, v in found.items()}}) + "\n")
            if trainer.step % 25 == 0:
                losses.flush()
                logger.info("step {} {}", trainer.step, " ".join(f"{k} {v:.3f}" for k, v in found.items()))
            if reminder.due():
                trainer.save(state)
    trainer.save(state)
    if (folder / LOSSES).stat().st_size:
        pictures.losses(folder / "codec.png", folder / LOSSES)
    logger.info("codec at step {} of {}", trainer.step, plan.steps)
