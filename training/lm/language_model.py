"""The language-model stage: CSM's backbone and depth decoder on the codes of the corpus."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import CsmForConditionalGeneration

from training.codec import codes
from training.codec.codebooks import load_coder
from training.corpus import corpus
from training.corpus.phonemes import PHONEME_TIMES_S, PHONEMES
from training.lm import speaker_heads
from training.lm.batches import IGNORED, VOICE_CLASSES, Batch, BatchSampler
from training.lm.guidance import attention_loss, speaker_loss
from training.sizes import CODES, language_config
from training.steps import checkpoint, muon
from training.steps.average import Average
from training.steps.devices import autocast, choose
from training.steps.loop import train

STAGE = "lm"
STATE = "lm.safetensors"
_DROPPED = "codec_model."
_LESSONS = 12  # batches that the speaker heads start from


@dataclass(frozen=True, slots=True)
class Plan:
    """How the language model is trained."""

    steps: int = 10_000
    batch: int = 20
    rate: float = 2e-3  # of AdamW
    matrix_rate: float = 0.008  # of Muon, falling alike
    end_rate: float = 1e-4
    warmup_steps: int = 150
    decay_share: float = 0.3  # of the steps, at the end
    depth_share: float = 0.5  # of the frames, besides those that end an utterance
    depth: float = 3.0
    last_depth: float = 0.3  # weight of the last codebook beside the first of them
    noise: float = 0.05  # of the input codes
    phonemes: float = 0.5
    attention: float = 0.3
    voice: float = 0.5
    speaker: float = 1.0
    comparing_from: int = 300  # the step at which the speaker heads start to compare: their names are found by then
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: a ramp, a plateau, and a straight line down."""
        ramp = min(1.0, (step + 1) / self.warmup_steps)
        left = min(1.0, (self.steps - step) / (self.decay_share * self.steps))
        return ramp * (self.end_rate + (self.rate - self.end_rate) * left)


class LanguageTrainer:
    """CSM without its codec, the heads that only training needs, and an average of the weights for use."""

    def __init__(self, plan: Plan, device: torch.device, sampler: BatchSampler, codebooks: str) -> None:
        """
        Args:
            plan: how to train.
            device: where.
            sampler: of the examples.
            codebooks: fingerprint of the codebooks whose codes are learnt.
        """
        torch.manual_seed(plan.seed)
        self.plan, self.device, self.step, self.positions = plan, device, 0, 0
        self.sampler, self.codebooks = sampler, codebooks
        config = language_config()
        self.model = CsmForConditionalGeneration(config).to(device)
        self.model.set_attn_implementation("eager")  # its weights are needed
        self.model.codec_model.requires_grad_(False)
        self.phoneme_head = nn.Linear(config.hidden_size, len(PHONEME_TIMES_S) * len(PHONEMES)).to(device)
        self.voice_head = nn.Linear(config.hidden_size, VOICE_CLASSES).to(device)
        matrices, others = muon.split(self.model.named_parameters(), lambda name: ".layers." in name)
        others += [*self.phoneme_head.parameters(), *self.voice_head.parameters()]
        self.optimisers = (
            muon.Muon(matrices, plan.matrix_rate, weight_decay=0.02),
            torch.optim.AdamW(others, plan.rate, betas=(0.9, 0.95), weight_decay=0.02),
        )
        self.average = Average(self.model, skip=_DROPPED)
        weights = torch.linspace(1.0, plan.last_depth, config.num_codebooks - 1, device=device)
        self._depth_weights = weights / weights.mean()

    def take_step(self) -> dict[str, float]:
        """The step that comes next; returns the losses by name, and how many positions were seen so far."""
        if self.step == self.plan.comparing_from:
            self.compare_speakers()
        found = self.train_step(self.sampler.batch(self.step, self.plan.seed))
        return {**found, "positions": self.positions}

    @torch.no_grad()
    def compare_speakers(self) -> None:
        """Start the speaker heads, from what the model sees in the batches that come next."""
        lessons = []
        for ahead in range(_LESSONS):
            batch = self.sampler.batch(self.step + ahead, self.plan.seed)
            text, is_frame, name, speaker, voice, frames = self._tensors(
                batch.text, batch.is_frame, batch.name, batch.speaker, batch.voice, batch.codes
            )
            embedded = self._embedded(text, frames, is_frame)
            lessons.append(speaker_heads.Lesson(embedded, name, speaker, is_frame, voice))
        speaker_heads.start(self.model.backbone_model, lessons)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One step on a batch; returns the losses by name."""
        muon.prepare(self.optimisers, self.plan.rate_at(self.step) / self.plan.rate)
        generator = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.step)
        parts = self._losses(batch, generator)
        loss = (
            parts["backbone"]
            + self.plan.depth * parts["depth"]
            + self.plan.phonemes * parts["phonemes"]
            + self.plan.attention * parts["attention"]
            + self.plan.voice * parts["voice"]
            + self.plan.speaker * parts["speaker"]
        )
        loss.backward()
        parts["gradient"] = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.follow(self.model)
        self.step += 1
        self.positions += batch.positions
        return {"loss": loss.item(), **{name: value.item() for name, value in parts.items()}}

    def _losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        text, is_frame, target, phonemes, attend, voice, name, speaker, frames = self._tensors(
            batch.text,
            batch.is_frame,
            batch.target,
            batch.phonemes,
            batch.attend,
            batch.voice,
            batch.name,
            batch.speaker,
            batch.codes,
        )
        embedded = self._embedded(text, _noisy(frames, self.plan.noise, generator), is_frame)
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
            "speaker": speaker_loss(seen.attentions, name, speaker, is_frame, voice != IGNORED),
            "voice": nn.functional.cross_entropy(spoken, voice[voice != IGNORED]),
        }

    def _tensors(self, *arrays: np.ndarray) -> list[Tensor]:
        return [torch.from_numpy(array).to(self.device) for array in arrays]

    def _embedded(self, text: Tensor, frames: Tensor, is_frame: Tensor) -> Tensor:
        """Inputs of the backbone [B, S, D]: text tokens [B, S], or frames [B, S, K] where there are some."""
        of_frames = self.model.backbone_model.embed_tokens(frames)
        return torch.where(is_frame[..., None], of_frames, self.model.embed_text_tokens(text))

    def _depth_loss(self, hidden: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy of codebooks 1 and up on a sample of frames: hidden [N, D], target [N, K]."""
        ends = (target == 0).all(dim=1)
        sampled = torch.rand(len(target), generator=generator).to(self.device) < self.plan.depth_share
        chosen = ends | sampled
        labels = target[chosen]
        inputs = nn.functional.pad(labels[:, :-1], (1, 0))  # position 0 holds the backbone's state instead
        logits = self.model.depth_decoder(
            input_ids=inputs, backbone_last_hidden_state=hidden[chosen].float(), use_cache=False
        ).logits  # [n, K - 1, V]
        losses = nn.functional.cross_entropy(logits.float().transpose(1, 2), labels[:, 1:], reduction="none")
        return (losses.mean(dim=0) * self._depth_weights).mean()

    def save(self, path: Path) -> None:
        """Write the whole state, atomically."""
        about = {"step": self.step, "positions": self.positions, "codebooks": self.codebooks, "plan": asdict(self.plan)}
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
        if "model" in about["absent"]:
            self.average.put_into(self.model)
        self.step, self.positions = about["step"], about["positions"]

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
        MissingInput: there is no corpus, or there are no codebooks.
        TrainingError: the codebooks are not those of this model.
    """
    plan = Plan()
    plan = replace(plan, steps=steps or plan.steps, batch=batch or plan.batch)
    coder = load_coder(folder)
    shards = len(corpus.shard_numbers(folder)) if hours is None else round(hours * 3600 / corpus.SHARD_SECONDS)
    place = codes.prepare(folder, coder, shards)
    sampler = BatchSampler(list(codes.segments(folder, place, shards)), plan.batch)
    trainer = LanguageTrainer(plan, choose(device), sampler, codes.fingerprint(coder))
    if (folder / STATE).exists():
        trainer.load(folder / STATE)
    train(trainer, STAGE, plan.steps, folder, minutes)
