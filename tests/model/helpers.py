"""What tests of the model do over and over: write contexts, start rows, step them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CsmForConditionalGeneration

from csm_plugin.model.csm import CSM, TEXT
from csm_plugin.model.rows import Rows
from csm_plugin.model.tokenizer import SegmentTokenizer
from csm_plugin.settings import Sampling

CPU = torch.device("cpu")
GREEDY = Sampling(temperature=0)
MAX_FRAMES = 200


def text_positions(model: CSM, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return context positions int32 [n, 1 + codebooks] of text tokens."""
    positions = np.full((len(tokens), 1 + model.config.codebooks), TEXT, np.int32)
    positions[:, 0] = tokens
    return positions


def frame_positions(codes: np.ndarray | Tensor) -> np.ndarray:
    """Return context positions of frames [n, codebooks]."""
    codes = np.asarray(codes)
    return np.concatenate((np.full((len(codes), 1), TEXT), codes), axis=1).astype(np.int32)


def reference_of(folder: Path) -> CsmForConditionalGeneration:
    """Return transformers' model of a checkpoint."""
    return CsmForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


def tokens_of(folder: Path, text: str = "hello there, how are you?", speaker: int = 0) -> np.ndarray:
    return SegmentTokenizer(folder).encode(text, speaker)


@dataclass
class Speaker:
    """One row that speaks: it knows its length, so that steps can be exact."""

    model: CSM
    row: int
    length: int
    codes: list[Tensor]
    pcm: list[Tensor]
    finite: list[bool]

    @classmethod
    def begin(cls, model: CSM, row: int, context: np.ndarray, sampling: Sampling = GREEDY, seed: int = 0) -> Speaker:
        """Prefill all but the last position of a context and make the row live."""
        held = len(context) - 1
        model.prefill(row, 0, context[:-1])
        model.begin(row, held, context[-1:], sampling, seed, MAX_FRAMES)
        return cls(model, row, held, [], [], [])

    @property
    def spoken(self) -> Tensor:
        return torch.stack(self.codes)


def step(speakers: Sequence[Speaker], top_k: int = 50, exact: bool = True) -> None:
    """Make one frame of every speaker, in one step of the model."""
    model = speakers[0].model
    rows = Rows([speaker.row for speaker in speakers], model.device)
    frames = model.step(rows, top_k, [speaker.length for speaker in speakers] if exact else None)
    for index, speaker in enumerate(speakers):
        speaker.length += 1
        speaker.codes.append(frames.codes[index].clone())
        speaker.pcm.append(frames.pcm[index].clone())
        speaker.finite.append(bool(frames.finite[index]))


def speak(speaker: Speaker, frames: int, top_k: int = 50) -> Tensor:
    """Make frames of one row alone and return all its codes [n, codebooks]."""
    for _ in range(frames):
        step([speaker], top_k)
    return speaker.spoken
