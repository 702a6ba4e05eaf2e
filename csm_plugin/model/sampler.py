"""Draws codes from logits on the device, repeatably, without a host sync."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PARTS = ("backbone", "depth decoder")
"""Who draws codes: the backbone those of codebook 0, the depth decoder the others."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """How the codes of one frame are drawn for a batch.

    Args:
        uniform: float32 [B, 1] of each codebook, in [0, 1).
        inverse_temperature: float32 [B, 1] of each part.
        rank_bias: float32 [B, k] of each part, 0 for ranks that a row may draw and -inf for the others.
    """

    uniform: tuple[Tensor, ...]
    inverse_temperature: tuple[Tensor, ...]
    rank_bias: tuple[Tensor, ...]

    def codes(self, logits: Tensor, codebook: int) -> Tensor:
        """Draw one code a row from `logits` [B, V]; int64 [B].

        Inverse-CDF sampling over the k likeliest codes: one uniform number a code, so a row's codes depend on its own
        seed only. Greedy rows are rows with one allowed rank.
        """
        part = int(codebook > 0)
        ranks = self.rank_bias[part].shape[1]
        if ranks == 1:
            return logits.argmax(-1)
        likeliest, ids = logits.float().topk(ranks)
        weights = torch.softmax(torch.addcmul(self.rank_bias[part], likeliest, self.inverse_temperature[part]), dim=-1)
        cumulative = weights.cumsum(-1)
        threshold = self.uniform[codebook] * cumulative[:, -1:]
        rank = (cumulative < threshold).sum(-1, keepdim=True)
        return ids.gather(1, rank)[:, 0]


def utterance_noise(seed: int, frames: int, codebooks: int) -> np.ndarray:
    """Return the uniform numbers of one utterance: float32 [frames, codebooks], in [0, 1)."""
    return np.random.Generator(np.random.Philox(seed)).random((frames, codebooks), dtype=np.float32)
