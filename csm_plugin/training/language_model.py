"""The language-model stage: CSM's backbone and depth decoder on the codes of the corpus."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from loguru import logger
from torch import Tensor, nn
from transformers import CsmForConditionalGeneration

from csm_plugin.training import checkpoint, codes, corpus, pictures
from csm_plugin.training.average import Average
from csm_plugin.training.batches import IGNORED, VOICE_CLASSES, Batch, BatchSampler
from csm_plugin.training.codec import load_codec
from csm_plugin.training.crops import PHONEME_TIMES_S
from csm_plugin.training.devices import autocast, choose
from csm_plugin.training.files import Reminder, Stopwatch
from csm_plugin.training.guidance import attention_loss
from csm_plugin.training.phonemes import PHONEMES
from csm_plugin.training.progress import progress
from csm_plugin.training.sizes import CODES, language_config

STAGE = "lm"
STATE = "lm.safetensors"
LOSSES = "lm.jsonl"
_DROPPED = "codec_model."


@dataclass(frozen=True, slots=True)
class Plan:
    """How the language model is trained."""

    steps: int = 10_000
    batch: int = 20
    rate: float = 2e-3
    end_rate: float = 1e-4
    warmup_steps: int = 150
    decay_share: float = 0.3  # of the steps, at the end
    depth_share: float = 0.2  # of the frames, besides those that end an utterance
    noise: float = 0.03  # of the input codes
    phonemes: float = 0.5
    attention: float = 0.3
    voice: float = 0.5
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: a ramp, a plateau, and a straight line down."""
        ramp = min(1.0, (step + 1) / self.warmup_steps)
        left = min(1.0, (self.steps - step) / (self.decay_share * self.steps))
        return ramp * (self.end_rate + (self.rate - self.end_rate) * left)


class LanguageTrainer:
    """CSM without its codec, the heads that only training needs, and an average of the weights for use."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.device, self.step, self.positions = plan, device, 0, 0
        config = language_config()
        config._attn_implementation = "eager"  # its weights are needed
        self.model = CsmForConditionalGeneration(config).to(device)
        self.model.codec_model.requires_grad_(False)
        self.phoneme_head = nn.Linear(config.hidden_size, len(PHONEME_TIMES_S) * len(PHONEMES)).to(device)
        self.voice_head = nn.Linear(config.hidden_size, VOICE_CLASSES).to(device)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        trained += [*self.phoneme_head.parameters(), *self.voice_head.parameters()]
        self.optimiser = torch.optim.AdamW(trained, plan.rate, betas=(0.9, 0.95), weight_decay=0.02)
        self.average = Average(self.model, skip=_DROPPED)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One step on a batch; returns the losses by name."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate_at(self.step)
        generator = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.step)
        parts = self._losses(batch, generator)
        loss = (
            parts["backbone"]
            + parts["depth"]
            + self.plan.phonemes * parts["phonemes"]
            + self.plan.attention * parts["attention"]
            + self.plan.voice * parts["voice"]
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        parts["gradient"] = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.average.follow(self.model)
        self.step += 1
        self.positions += batch.positions
        return {"loss": loss.item(), **{name: value.item() for name, value in parts.items()}}

    def _losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        text, is_frame, target, phonemes, attend, voice, frames = (
            torch.from_numpy(array).to(self.device)
            for array in (
                batch.text,
                batch.is_frame,
                batch.target,
                batch.phonemes,
                batch.attend,
                batch.voice,
                batch.codes,
            )
        )
        noisy = _noisy(frames, self.plan.noise, generator)
        embedded = torch.where(
            is_frame[..., None], self.model.backbone_model.embed_tokens(noisy), self.model.embed_text_tokens(text)
        )  # [B, S, D]
        with autocast(self.device):
            seen = self.model.backbone_model(inputs_embeds=embedded, use_cache=False, output_attentions=True)
            hidden = seen.last_hidden_state
            has_target = target[..., 0] != IGNORED
            known = hidden[has_target]  # [N, D]
            first = self.model.lm_head(known).float()
            heard = self.phoneme_head(hidden[phonemes[..., 0] != IGNORED]).float()
            spoken = self.voice_head(hidden[voice != IGNORED]).float()
            depth = self._depth_loss(known, target[has_target], generator)
        wanted = phonemes[phonemes[..., 0] != IGNORED]  # [M, 2]
        return {
            "backbone": nn.functional.cross_entropy(first, target[has_target][:, 0]),
            "depth": depth,
            "phonemes": nn.functional.cross_entropy(heard.view(-1, len(PHONEMES)), wanted.flatten()),
            "attention": attention_loss(seen.attentions, attend),
            "voice": nn.functional.cross_entropy(spoken, voice[voice != IGNORED]),
        }

    def _depth_loss(self, hidden: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy of codebooks 1 and up on a sample of frames: hidden [N, D], target [N, K]."""
        ends = (target == 0).all(dim=1)
        sampled = torch.rand(len(target), generator=generator).to(self.device) < self.plan.depth_share
        chosen = ends | sampled
        labels = target[chosen]
        inputs = nn.functional.pad(labels[:, :-1], (1, 0))  # position 0 holds the backbone's state instead
        return self.model.depth_decoder(
            input_ids=inputs, backbone_last_hidden_state=hidden[chosen].float(), labels=labels, use_cache=False
        ).loss

    def save(self, path: Path, codec: str) -> None:
        """Write the whole state, atomically.

        Args:
            path: the file.
            codec: fingerprint of the codec whose codes were learnt.
        """
        about = {"step": self.step, "positions": self.positions, "codec": codec, "plan": asdict(self.plan)}
        checkpoint.save(path, self._modules(), self.optimiser, about)

    def load(self, path: Path) -> str:
        """Go on from a saved state; returns the fingerprint of its codec.

        Raises:
            CorruptFile: the file is damaged or of other sizes.
        """
        about = checkpoint.load(path, self._modules(), self.optimiser, STAGE)
        if "model" in about["absent"]:
            self.average.put_into(self.model)
        self.step, self.positions = about["step"], about["positions"]
        return about["codec"]

    def _modules(self) -> dict[str, nn.Module]:
        return {
            "model": _WithoutCodec(self.model),
            "phoneme_head": self.phoneme_head,
            "voice_head": self.voice_head,
            "average": self.average,
        }


class _WithoutCodec(nn.Module):
    """The model's state but for its codec, which has a file of its own."""

    def __init__(self, model: CsmForConditionalGeneration) -> None:
        super().__init__()
        self.text, self.head = model.embed_text_tokens, model.lm_head
        self.backbone, self.depth = model.backbone_model, model.depth_decoder


def _noisy(frames: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Codes [B, S, K] with a share of them replaced by others, so that the model learns to bear its own mistakes."""
    replaced = (torch.rand(frames.shape, generator=generator) < share).to(frames.device)
    others = torch.randint(1, CODES, frames.shape, generator=generator).to(frames.device)
    ends = (frames == 0).all(dim=-1, keepdim=True)
    return torch.where(replaced & ~ends, others, frames)


def run(
    folder: Path,
    minutes: float,
    steps: int | None = None,
    device: str = "auto",
    batch: int | None = None,
    hours: float | None = None,
) -> None:
    """Train the language model until its plan is done or the minutes are spent; goes on from where it stopped.

    Args:
        folder: of the stages.
        minutes: how long to work at most, after the corpus was encoded.
        steps: that the schedule is planned for.
        device: `cpu`, `cuda` or `auto`.
        batch: examples a step; a GPU takes many more than the plan has.
        hours: of the corpus to learn from; all of it unless told. A run goes on bit for bit with the same hours only.

    Raises:
        MissingInput: there is no corpus, or the codec is not trained.
        TrainingError: the codec was trained on since the codes of this model were made.
    """
    plan = Plan()
    plan = replace(plan, steps=steps or plan.steps, batch=batch or plan.batch)
    where = choose(device)
    codec = load_codec(folder, trained="codes")
    fingerprint = codes.fingerprint(codec)
    shards = len(corpus.shard_numbers(folder)) if hours is None else round(hours * 3600 / corpus.SHARD_SECONDS)
    place = codes.prepare(folder, codec, where, shards)
    trainer = LanguageTrainer(plan, where)
    state = folder / STATE
    if state.exists():
        made_with = trainer.load(state)
        if made_with != fingerprint:
            raise codes.other_codec(state, made_with, fingerprint)
        logger.info("language model goes on from step {}", trainer.step)
    sampler = BatchSampler(list(codes.segments(folder, place, shards)), plan.batch)
    watch, reminder = Stopwatch(minutes), Reminder()
    with progress("lm", plan.steps) as bar, (folder / LOSSES).open("a") as losses:
        while trainer.step < plan.steps and watch.tick():
            found = trainer.train_step(sampler.batch(trainer.step, plan.seed))
            bar.show(trainer.step, f"loss {found['loss']:.3f}")
            note = {"step": trainer.step, "positions": trainer.positions, **{k: round(v, 4) for k, v in found.items()}}
            losses.write(json.dumps(note) + "\n")
            if trainer.step % 25 == 0:
                losses.flush()
                logger.info("step {} {}", trainer.step, " ".join(f"{k} {v:.3f}" for k, v in found.items()))
            if reminder.due():
                trainer.save(state, fingerprint)
    trainer.save(state, fingerprint)
    if (folder / LOSSES).stat().st_size:
        pictures.losses(folder / "lm.png", folder / LOSSES)
    logger.info("language model at step {} of {}", trainer.step, plan.steps)
