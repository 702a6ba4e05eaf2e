"""A Llama-style transformer over fused weights: the body of CSM's backbone and of its depth decoder.

The attention itself is passed in, because only the caches know which keys a position may see.

Source: transformers' `CsmDecoderLayer` (pre-norm RMSNorm, grouped-query attention, RoPE, SwiGLU).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# (layer index, query [B, T, H, hd], key [B, T, Hkv, hd], value [B, T, Hkv, hd]) -> [B, T, H * hd]
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class TransformerShape:
    """Sizes of one transformer; `positions` is how many it can address."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    positions: int
    norm_eps: float


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one layer, query/key/value and gate/up fused, query and key rows interleaved for `rotate`."""

    attention_norm: Tensor  # [D]
    qkv: Tensor  # [(H + 2 Hkv) * hd, D]
    output: Tensor  # [D, H * hd]
    mlp_norm: Tensor  # [D]
    gate_up: Tensor  # [2 M, D]
    down: Tensor  # [D, M]


class Transformer:
    """Runs hidden states through all layers and the final norm."""

    def __init__(self, shape: TransformerShape, layers: list[Layer], norm: Tensor, rotation: Tensor) -> None:
        self.shape = shape
        self.layers = layers
        self.norm = norm
        self.rotation = rotation  # complex64 [positions, hd / 2]

    def run(self, x: Tensor, rotation: Tensor, attend: Attend) -> Tensor:
        """Return the normed hidden states [B, T, D] of `x` [B, T, D] at positions whose `rotation` is [B or 1, T, hd / 2]."""
        shape = self.shape
        batch, length, width = x.shape
        queries, keys = shape.heads, shape.kv_heads
        rotation = rotation.unsqueeze(2)  # [B, T, 1, hd / 2]: the same for all heads
        for index, layer in enumerate(self.layers):
            h = F.rms_norm(x, (width,), layer.attention_norm, shape.norm_eps)
            qkv = F.linear(h, layer.qkv).view(batch, length, queries + 2 * keys, shape.head_dim)
            rotated = rotate(qkv[:, :, : queries + keys], rotation)
            h = attend(index, rotated[:, :, :queries], rotated[:, :, queries:], qkv[:, :, queries + keys :])
            x = x + F.linear(h, layer.output)
            h = F.rms_norm(x, (width,), layer.mlp_norm, shape.norm_eps)
            gate, up = F.linear(h, layer.gate_up).chunk(2, dim=-1)
            x = x + F.linear(F.silu(gate) * up, layer.down)
        return F.rms_norm(x, (width,), self.norm, shape.norm_eps)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Apply rotary positions to `x` [..., hd], whose pairs lie side by side, in float32."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotation).flatten(-2).to(x.dtype)


def interleave_pairs(weight: Tensor, head_dim: int) -> Tensor:
    """Reorder the output rows of a query or key projection so that RoPE's pairs (i, i + hd/2) lie side by side."""
    rows, width = weight.shape
    halves = weight.view(rows // head_dim, 2, head_dim // 2, width)
    return halves.transpose(1, 2).reshape(rows, width)


def rotation_table(inverse_frequencies: Tensor, scaling: float, positions: int) -> Tensor:
    """Return e^(i * position * frequency) * scaling, complex64 [positions, hd / 2]."""
    angles = torch.arange(positions, dtype=torch.float32)[:, None] * inverse_frequencies.float()
    return torch.polar(torch.full_like(angles, scaling), angles)
