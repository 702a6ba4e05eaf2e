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
    embeddings: Tensor  # [(codebooks - 1) * V, Dd], projected
    heads: Tensor  # [codebooks - 1, V, Dd]


class DepthDecoder:
    """Samples codebooks 1 to K - 1 of a frame, one after the other, for a batch of rows."""

    def __init__(self, transformer: Transformer, weights: DepthWeights, rows: int) -> None:
        shape = transformer.shape
        size = (shape.layers, rows, shape.kv_heads, shape.positions, shape.head_dim)
        self.transformer = transformer
        self.weights = weights
        self.codebooks = weights.heads.shape[0] + 1
        self.vocabulary = weights.heads.shape[1]
        self._keys = torch.zeros(size, dtype=weights.heads.dtype, device=weights.heads.device)
        self._values = torch.zeros_like(self._keys)
        self._first_mask = torch.ones(2, 2, dtype=torch.bool, device=weights.heads.device).tril()

    def frame(self, hidden: Tensor, first: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Complete a frame.

        Args:
            hidden: the backbone's last hidden state, [B, D].
            first: codes of codebook 0, int64 [B].
            draw: how codes are drawn.

        Returns:
            all codes of the frame, int64 [B, K]; the last logits, [B, V], by which a caller sees numeric failure.
        """
        codes = [first]
        start = F.linear(hidden, self.weights.projection)
        x = torch.stack((start, F.embedding(first, self.weights.embeddings)), dim=1)  # [B, 2, Dd]
        logits = start
        rotation = self.transformer.rotation
        for codebook in range(1, self.codebooks):
            begin = codebook + 1 - x.shape[1]
            x = self.transformer.run(x, rotation[None, begin : codebook + 1], self._attend(begin, x.shape[1]))
            logits = F.linear(x[:, -1], self.weights.heads[codebook - 1])
            code = draw.codes(logits, codebook)
            codes.append(code)
            if codebook + 1 < self.codebooks:
                x = F.embedding(code + codebook * self.vocabulary, self.weights.embeddings)[:, None]
        return torch.stack(codes, dim=1), logits

    def _attend(self, begin: int, length: int) -> Attend:
        end = begin + length
        mask = self._first_mask if length > 1 else None

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            batch = q.shape[0]
            keys, values = self._keys[layer, :batch, :, :end], self._values[layer, :batch, :, :end]  # [B, Hkv, end, hd]
            keys[:, :, begin:] = k.transpose(1, 2)
            values[:, :, begin:] = v.transpose(1, 2)
            mixed = F.scaled_dot_product_attention(
                q.transpose(1, 2), keys, values, attn_mask=mask, enable_gqa=q.shape[2] != k.shape[2]
            )
            return mixed.transpose(1, 2).flatten(2)

        return attend
