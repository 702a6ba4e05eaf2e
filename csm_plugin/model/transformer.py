"""A Llama-style transformer over fused weights: the body of CSM's backbone and of its depth decoder.

The attention itself is passed in, because only the caches know which keys a position may see.

Source: transformers' `CsmDecoderLayer` (pre-norm RMSNorm, grouped-query attention, RoPE, SwiGLU). RMSNorm is taken
apart: scaling to unit length stays, its weight and the factor sqrt(D) are multiplied into the projections behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# (layer index, rotated queries and keys with values [N, H + 2 Hkv, hd]) -> mixed values [N, H * hd]
Attend = Callable[[int, Tensor], Tensor]


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
    """The weights of one layer: query/key/value and gate/up fused, norms folded in, pairs interleaved for `rotate`."""

    qkv: Tensor  # [(H + 2 Hkv) * hd, D]
    output: Tensor  # [H * hd, D]
    gate_up: Tensor  # [2 M, D]
    down: Tensor  # [M, D]


class Transformer:
    """Runs positions through all layers and the final norm."""

    def __init__(self, shape: TransformerShape, layers: list[Layer], rotation: Tensor) -> None:
        weight = layers[0].qkv
        self.shape = shape
        self.layers = layers
        self.rotation = rotation  # complex64 [positions, hd / 2]
        self._floor = torch.tensor((shape.norm_eps * shape.width) ** 0.5, device=weight.device)
        self._unit_weight = torch.full((shape.width,), shape.width**-0.5, dtype=weight.dtype, device=weight.device)
        self._by_parts = weight.device.type == "cpu" and weight.dtype == torch.float32

    def run(self, x: Tensor, rotation: Tensor, attend: Attend) -> Tensor:
        """Return the final hidden states of some positions, scaled to unit length.

        Args:
            x: [N, D], any positions of any rows.
            rotation: complex64 [N, hd / 2] for them.
            attend: the attention among them.
        """
        shape = self.shape
        heads, rotated = shape.heads + 2 * shape.kv_heads, shape.heads + shape.kv_heads
        rotation = rotation[:, None]  # [N, 1, hd / 2]: the same for all heads
        for index, layer in enumerate(self.layers):
            qkv = F.linear(self.unit(x), layer.qkv).view(-1, heads, shape.head_dim)
            rotate(qkv[:, :rotated], rotation)
            x = torch.addmm(x, attend(index, qkv), layer.output)
            gate, up = F.linear(self.unit(x), layer.gate_up).chunk(2, dim=-1)
            x = torch.addmm(x, F.silu(gate) * up, layer.down)
        return self.unit(x)

    def unit(self, x: Tensor) -> Tensor:
        """Scale each row of `x` [N, D] to unit length, but for the norm's epsilon."""
        if self._by_parts:  # a third of the time of the CPU's composite rms_norm
            return x / torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), self._floor)
        return F.rms_norm(x, (self.shape.width,), self._unit_weight, self.shape.norm_eps)


def rotate(x: Tensor, rotation: Tensor) -> None:
    """Apply rotary positions in place to `x` [..., hd], whose pairs lie side by side, in float32."""
    if x.dtype == torch.float32:
        torch.view_as_complex(x.unflatten(-1, (-1, 2))).mul_(rotation)
    else:
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
        x.copy_(torch.view_as_real(pairs * rotation).flatten(-2))


def interleave_pairs(weight: Tensor, head_dim: int) -> Tensor:
    """Reorder the output rows of a query or key projection so that RoPE's pairs (i, i + hd/2) lie side by side."""
    rows, width = weight.shape
    halves = weight.view(rows // head_dim, 2, head_dim // 2, width)
    return halves.transpose(1, 2).reshape(rows, width)


def rotation_table(inverse_frequencies: Tensor, scaling: float, positions: int) -> Tensor:
    """Return e^(i * position * frequency) * scaling, complex64 [positions, hd / 2]."""
    angles = torch.arange(positions, dtype=torch.float32)[:, None] * inverse_frequencies.float()
    return torch.polar(torch.full_like(angles, scaling), angles)
