"""The codec's transformers: causal, with a sliding window that is carried from chunk to chunk.

Source: transformers' `MimiTransformerModel` (pre-norm LayerNorm, RoPE, GELU, layer scale).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.mimi.conv import Sizes
from csm_plugin.model.mimi.stream import StreamState
from csm_plugin.model.rows import Rows
from csm_plugin.model.transformer import pairs, rotate

PIECE = 16  # positions that are run at once


@dataclass(frozen=True, slots=True)
class WindowLayer:
    """The weights of one layer; layer scales are folded into `output` and `down`, GELU's factors into `up` and `down`.

    gelu(x) = x / 2 * (1 + erf(x / sqrt(2))) = (y + y * erf(y)) / sqrt(2) with y = x / sqrt(2), which `up` gives.
    """

    attention_norm: tuple[Tensor, Tensor]  # weight and bias, [D]
    qkv: Tensor  # [(H + 2 Hkv) * hd, D]
    output: Tensor  # [D, H * hd]
    mlp_norm: tuple[Tensor, Tensor]
    up: Tensor  # [M, D]
    down: Tensor  # [D, M]


@dataclass(frozen=True, slots=True)
class WindowTransformer:
    """A transformer in which a position sees itself and the `window - 1` before it.

    Keys and values live in a ring, position p at place p mod its size, so a step moves nothing. The ring is larger than
    the window by one piece: what a piece overwrites is out of its sight.
    """

    name: str
    layers: list[WindowLayer]
    heads: int
    kv_heads: int
    window: int
    norm_eps: float
    rotation: Tensor  # complex64 [positions, hd / 2]

    @property
    def ring(self) -> int:
        return self.window - 1 + PIECE

    def state(self) -> Sizes:
        size = (self.ring, 2 * self.kv_heads, 2 * self.rotation.shape[1])
        return {f"{self.name}.{index}": size for index in range(len(self.layers))}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        """Run the next chunk [B, T, D] and advance the streams by T positions."""
        pieces = [self._run(piece, state, rows) for piece in x.split(PIECE, dim=1)]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def _run(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        length, width = x.shape[1:]
        positions = rows.take(state.position)[:, None] + torch.arange(length, device=x.device)  # [B, T]
        rotation = self.rotation[positions].unsqueeze(2)  # [B, T, 1, hd / 2]
        places = (rows.index[:, None] * self.ring + positions % self.ring).flatten()  # [B * T]
        mask = self._mask(positions)
        rotated = self.heads + self.kv_heads
        for index, layer in enumerate(self.layers):
            h = F.layer_norm(x, (width,), *layer.attention_norm, self.norm_eps)
            qkv = F.linear(h, layer.qkv).unflatten(2, (rotated + self.kv_heads, -1))
            rotate(pairs(qkv[:, :, :rotated]), rotation)
            ring = state.tensors[f"{self.name}.{index}"]
            ring.flatten(0, 1).index_copy_(0, places, qkv[:, :, self.heads :].flatten(0, 1))
            keys, values = rows.take(ring).transpose(1, 2).split(self.kv_heads, dim=1)  # [B, Hkv, ring, hd]
            mixed = F.scaled_dot_product_attention(
                qkv[:, :, : self.heads].transpose(1, 2),
                keys,
                values,
                attn_mask=mask,
                enable_gqa=self.heads != self.kv_heads,
            )
            x = x + F.linear(mixed.transpose(1, 2).flatten(2), layer.output)
            h = F.layer_norm(x, (width,), *layer.mlp_norm, self.norm_eps)
            y = F.linear(h, layer.up)
            x = x + F.linear(torch.addcmul(y, y, y.erf()), layer.down)
        rows.put(state.position, positions[:, -1] + 1)
        return x

    def _mask(self, positions: Tensor) -> Tensor:
        """Return what to add to the scores of every place of the ring: [B, 1, T, ring]."""
        newest = positions[:, -1:]
        held = newest - (newest - torch.arange(self.ring, device=positions.device)) % self.ring  # [B, ring]
        age = positions[:, :, None] - held[:, None]
        allowed = (age >= 0) & (age < self.window) & (held >= 0)[:, None]
        return torch.zeros((), device=positions.device).where(allowed, -torch.inf)[:, None]
