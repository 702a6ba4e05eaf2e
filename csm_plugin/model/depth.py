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

from csm_plugin.model.attention import attention_on
from csm_plugin.model.sampler import Sampler
from csm_plugin.model.transformer import Attend, Transformer, pairs, rotate


@dataclass(frozen=True, slots=True)
class DepthWeights:
    """What the depth decoder has besides its transformer."""

    projection: Tensor  # [Dd, D], of the backbone's hidden state
    embeddings: Tensor  # [codebooks - 1, V, Dd], projected
    heads: Tensor  # [codebooks - 1, V, Dd]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where new positions of one layer are kept and what they see: views of the decoder's memory."""

    qkv: Tensor  # [T * B, (H + 2 Hkv) * hd]
    rotated: Tensor  # `pairs` of queries and keys, [T, B, H + Hkv, ...]
    queries: Tensor  # of the last of them, [B, Hkv, G, hd]
    keys: Tensor  # [B, Hkv, end, hd]
    values: Tensor  # [B, Hkv, end, hd]
    alone: Tensor  # what position 0 sees, its own value: [B, Hkv, G, hd]


class DepthDecoder:
    """Samples codebooks 1 to K - 1 of a frame, one after the other, for a batch of rows.

    Queries, keys and values of a frame have fixed places, so that each of its steps has an attention of its own, made
    once for each batch size: the steps are so small that slicing would be half of their time.
    """

    def __init__(self, transformer: Transformer, weights: DepthWeights, rows: int) -> None:
        shape = transformer.shape
        self.transformer = transformer
        self.weights = weights
        self._embeddings = list(weights.embeddings)
        self._heads = list(weights.heads)
        width = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
        self._memory = weights.heads.new_zeros(shape.layers, rows * shape.positions * width)
        self._attends: dict[int, list[Attend]] = {}
        self._mix = attention_on(weights.heads.device, weights.heads.dtype, shape.head_dim)

    def frame(self, hidden: Tensor, first: Tensor, sampler: Sampler) -> tuple[Tensor, Tensor]:
        """Complete a frame.

        Args:
            hidden: the backbone's last hidden state, [B, D].
            first: codes of codebook 0, int64 [B].
            sampler: how codes are drawn.

        Returns:
            all codes of the frame, int64 [B, K]; the last logits, [B, V], by which a caller sees numeric failure.
        """
        rows = len(first)
        if rows not in self._attends:
            self._attends[rows] = self._lay_out(rows)
        attends = self._attends[rows]
        x = torch.cat((F.linear(hidden, self.weights.projection), F.embedding(first, self._embeddings[0])))  # [2 B, Dd]
        x = self.transformer.run(x, attends[0])[rows:]
        logits = F.linear(x, self._heads[0])
        codes = [first, sampler.codes(logits, 1)]
        for book in range(1, len(self._heads)):
            x = F.embedding(codes[book], self._embeddings[book])
            x = self.transformer.run(x, attends[book])
            logits = F.linear(x, self._heads[book])
            codes.append(sampler.codes(logits, book + 1))
        return torch.stack(codes, dim=1), logits

    def _attend(self, places: list[_Place], begin: int, end: int) -> Attend:
        """Return the attention of the new positions from `begin` to `end`: 2 at the start and 1 from then on."""
        rotation = self.transformer.rotation[begin:end, None, None]
        mix = self._mix  # the decoder keeps what is returned, which must not keep the decoder

        def attend(layer: int, weight: Tensor, x: Tensor) -> Tensor:
            place = places[layer]
            torch.mm(x, weight, out=place.qkv)
            rotate(place.rotated, rotation)
            mixed = mix(place.queries, place.keys, place.values, None)
            return (mixed if begin else torch.cat((place.alone, mixed))).flatten(1)

        return attend

    def _lay_out(self, rows: int) -> list[Attend]:
        """Return the attention of each step for a batch size."""
        shape = self.transformer.shape
        rotated = shape.heads + shape.kv_heads
        used = shape.positions * rows * (rotated + shape.kv_heads) * shape.head_dim
        memory = self._memory[:, :used].view(shape.layers, shape.positions, rows, -1, shape.head_dim)

        def place(layer: Tensor, begin: int, end: int) -> _Place:
            new, seen = layer[begin:end], layer[:end].permute(1, 2, 0, 3)  # [T, B, .., hd], [B, .., end, hd]
            queries = new[-1, :, : shape.heads].unflatten(1, (shape.kv_heads, -1))
            values = seen[:, rotated:]
            return _Place(
                qkv=new.flatten(2).flatten(0, 1),
                rotated=pairs(new[:, :, :rotated]),
                queries=queries,
                keys=seen[:, shape.heads : rotated],
                values=values,
                alone=values[:, :, :1].expand_as(queries),
            )

        steps = [(0, 2), *((position, position + 1) for position in range(2, shape.positions))]
        return [self._attend([place(layer, begin, end) for layer in memory], begin, end) for begin, end in steps]
