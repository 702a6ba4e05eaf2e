"""Mimi's split residual vector quantiser: one semantic codebook, then a residual chain of acoustic ones.

Source: transformers' `MimiSplitResidualVectorQuantizer`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ResidualQuantizer:
    """A chain of codebooks between two projections (absent where the widths agree)."""

    codebooks: Tensor  # [K, V, C]
    input_projection: Tensor | None  # [C, D]
    output_projection: Tensor | None  # [D, C]

    def encode(self, latents: Tensor) -> Tensor:
        """Return the codes int64 [B, T, K] nearest to `latents` [B, T, D]."""
        residual = latents if self.input_projection is None else F.linear(latents, self.input_projection)
        codes = []
        for book in self.codebooks:
            nearest = torch.cdist(residual.flatten(0, 1), book).argmin(-1).view(residual.shape[:2])
            codes.append(nearest)
            residual = residual - F.embedding(nearest, book)
        return torch.stack(codes, dim=2)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the latents [B, T, D] of `codes` int64 [B, T, K]."""
        count, vocabulary, width = self.codebooks.shape
        offsets = torch.arange(0, count * vocabulary, vocabulary, device=codes.device)
        summed = F.embedding(codes + offsets, self.codebooks.view(-1, width)).sum(2)
        return summed if self.output_projection is None else F.linear(summed, self.output_projection)


@dataclass(frozen=True, slots=True)
class SplitQuantizer:
    """Semantic and acoustic chains over the same latents; their outputs add up."""

    semantic: ResidualQuantizer
    acoustic: ResidualQuantizer

    def encode(self, latents: Tensor) -> Tensor:
        return torch.cat((self.semantic.encode(latents), self.acoustic.encode(latents)), dim=2)

    def decode(self, codes: Tensor) -> Tensor:
        split = self.semantic.codebooks.shape[0]
        return self.semantic.decode(codes[:, :, :split]) + self.acoustic.decode(codes[:, :, split:])
