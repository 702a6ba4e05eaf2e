"""The depth decoder: from the backbone's hidden state to the remaining codes of one frame.

Source: transformers' `CsmDepthDecoderForCausalLM`. Position 0 is the backbone's hidden state, position k + 1 the
embedding of codebook k, and position k + 1 has the head of codebook k + 1. The code embeddings are stored already
multiplied by the input projection, which halves what a step reads of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.sampler import Draw
from csm_plugin.model.transformer import Attend, Transformer


@dataclass(frozen=True, slots=True)
class DepthWeights:
    """What the depth decoder has besides its transformer."""

    projection: Tensor  # [Dd, D], of the backbone's hidden state
    embeddings: Tensor  # [codebooks - 1, V, Dd], projected
    heads: Tensor  # [codebooks - 1, V, Dd]


class DepthDecoder:
    """Samples codebooks 1 to K - 1 of a frame, one after the other, for a batch of rows."""

    def __init__(self, transformer: Transformer, weights: DepthWeights, rows: int) -> None:
        shape = transformer.shape
        self.transformer = transformer
        self.weights = weights
        self._cache = torch.zeros(
            (shape.layers, rows, shape.positions, 2 * shape.kv_heads, shape.head_dim),
            dtype=weights.heads.dtype,
            device=weights.heads.device,
        )
        self._first_mask = torch.ones(2, 2, dtype=torch.bool, device=weights.heads.device).tril()
        self._embeddings = list(weights.embeddings)
        self._heads = list(weights.heads)

    def frame(self, hidden: Tensor, first: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Complete a frame.

        Args:
            hidden: the backbone's last hidden state, [B, D].
            first: codes of codebook 0, int64 [B].
            draw: how codes are drawn.

        Returns:
            all codes of the frame, int64 [B, K]; the last logits, [B, V], by which a caller sees numeric failure.
        """
        transformer = self.transformer
        rows = len(first)
        start = F.linear(hidden, self.weights.projection)
        x = torch.stack((start, F.embedding(first, self._embeddings[0])), dim=1).flatten(0, 1)  # [2 B, Dd]
        x = transformer.run(x, transformer.rotation[:2].repeat(rows, 1), self._attend(rows, 0, 2))[1::2]
        logits = F.linear(x, self._heads[0])
        codes = [first, draw.codes(logits, 1)]
        for book in range(1, len(self._heads)):
            x = F.embedding(codes[book], self._embeddings[book])
            position = book + 1
            x = transformer.run(x, transformer.rotation[position, None], self._attend(rows, position, 1))
            logits = F.linear(x, self._heads[book])
            codes.append(draw.codes(logits, book + 1))
        return torch.stack(codes, dim=1), logits

    def _attend(self, rows: int, begin: int, length: int) -> Attend:
        """Return the attention of `length` new positions from `begin` on, 2 at the start and 1 from then on."""
        shape = self.transformer.shape
        heads, kv_heads, end = shape.heads, shape.kv_heads, begin + length

        def attend(layer: int, qkv: Tensor) -> Tensor:
            qkv = qkv.unflatten(0, (rows, length))  # [B, T, H + 2 Hkv, hd]
            cached = self._cache[layer, :rows, :end]
            cached[:, begin:] = qkv[:, :, heads:]
            keys, values = cached.transpose(1, 2).split(kv_heads, dim=1)  # [B, Hkv, end, hd]
            if length == 1:
                queries = qkv[:, 0, :heads].unflatten(1, (kv_heads, -1))  # [B, Hkv, G, hd]
                return F.scaled_dot_product_attention(queries, keys, values).flatten(1)
            mixed = F.scaled_dot_product_attention(
                qkv[:, :, :heads].transpose(1, 2),
                keys,
                values,
                attn_mask=self._first_mask,
                enable_gqa=heads != kv_heads,
            )
            return mixed.transpose(1, 2).reshape(rows * length, -1)

        return attend
