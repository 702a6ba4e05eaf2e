"""A Llama-style transformer over fused weights: the body of CSM's backbone and of its depth decoder.

The attention itself is passed in, because only the caches know where keys are kept and which ones a position may see.

Source: transformers' `CsmDecoderLayer` (pre-norm RMSNorm, grouped-query attention, RoPE, SwiGLU). RMSNorm is taken
apart: scaling to unit length stays, its weight and the factor sqrt(D) are multiplied into the projections behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.rope import Rope

# (layer index, its query/key/value weights, inputs [N, D]) -> mixed values [N, H * hd]
Attend = Callable[[int, Tensor, Tensor], Tensor]


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
    rope: Rope


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one layer: query/key/value and gate/up fused, norms folded in, pairs interleaved for `rotate`."""

    qkv: Tensor  # [D, (H + 2 Hkv) * hd]
    output: Tensor  # [H * hd, D]
    gate_up: Tensor  # [D, 2 M]
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

    def run(self, x: Tensor, attend: Attend) -> Tensor:
        """Return the final hidden states of some positions, scaled to unit length.

        Args:
            x: [N, D], any positions of any rows; overwritten.
            attend: the attention among them.
        """
        for index, layer in enumerate(self.layers):
            x.addmm_(attend(index, layer.qkv, self.unit(x)), layer.output)
            gate, up = torch.mm(self.unit(x), layer.gate_up).chunk(2, dim=-1)
            x.addmm_(F.silu(gate) * up, layer.down)
        return self.unit(x)

    def unit(self, x: Tensor) -> Tensor:
        """Scale each row of `x` [N, D] to unit length, but for the norm's epsilon."""
        if self._by_parts:  # a third of the time of the CPU's composite rms_norm
            return x / torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), self._floor)
        return F.rms_norm(x, (self.shape.width,), self._unit_weight, self.shape.norm_eps)


def pairs(x: Tensor) -> Tensor:
    """Return the view of `x` [..., hd] that `rotate` works on: complex [..., hd / 2] where the dtype allows it."""
    return torch.view_as_complex(x.unflatten(-1, (-1, 2))) if x.dtype == torch.float32 else x


def rotate(x: Tensor, rotation: Tensor) -> None:
    """Apply rotary positions in place to `pairs`, which lie side by side, in float32."""
    if x.is_complex():
        x.mul_(rotation)
    else:
        rotated = torch.view_as_complex(x.float().unflatten(-1, (-1, 2))) * rotation
        x.copy_(torch.view_as_real(rotated).flatten(-2))
