"""The codec's transformers: a sliding window over a ring of keys.

Source: transformers' `MimiTransformerModel` (pre-norm LayerNorm, RoPE, GELU, layer scale).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.mimi.stream import StreamState
from csm_plugin.model.rows import Rows
from csm_plugin.model.transformer import rotate


@dataclass(frozen=True, slots=True)
class WindowLayer:
    """The weights of one layer; the layer scales are folded into `output` and `down`."""

    attention_norm: tuple[Tensor, Tensor]  # weight and bias, [D]
    qkv: Tensor  # [(H + 2 Hkv) * hd, D]
    output: Tensor  # [D, H * hd]
    mlp_norm: tuple[Tensor, Tensor]
    up: Tensor  # [M, D]
    down: Tensor  # [D, M]


@dataclass(frozen=True, slots=True)
class WindowTransformer:
    """A causal transformer that looks back over `window` positions.

    The ring holds `window + chunk - 1` positions, so that a chunk of up to `chunk` new ones never overwrites a key
    that its first position may still see.
    """

    name: str
    layers: list[WindowLayer]
    heads: int
    kv_heads: int
    window: int
    chunk: int
    norm_eps: float
    rotation: Tensor  # complex64 [positions, hd / 2]

    @property
    def ring(self) -> int:
        return self.window + self.chunk - 1

    def state(self) -> dict[str, tuple[int, ...]]:
        size = (self.kv_heads, self.ring, 2 * self.rotation.shape[1])
        return {f"{self.name}.{i}.{part}": size for i in range(len(self.layers)) for part in ("keys", "values")}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        """Run the next chunk [B, T, D], T at most `chunk`, and advance the streams by T positions."""
        batch, length, width = x.shape
        start = rows.take(state.position)[:, None]  # [B, 1]
        positions = start + torch.arange(length, device=x.device)  # [B, T]
        slots = positions % self.ring
        rotation = self.rotation[positions].unsqueeze(2)  # [B, T, 1, hd / 2]
        mask = self._mask(positions)
        where = rows.index[:, None]
        rotated_heads = self.heads + self.kv_heads
        for i, layer in enumerate(self.layers):
            keys, values = state.tensors[f"{self.name}.{i}.keys"], state.tensors[f"{self.name}.{i}.values"]
            h = F.layer_norm(x, (width,), *layer.attention_norm, self.norm_eps)
            qkv = F.linear(h, layer.qkv).view(batch, length, rotated_heads + self.kv_heads, -1)
            qk = rotate(qkv[:, :, :rotated_heads], rotation)
            keys[where, :, slots] = qk[:, :, self.heads :]
            values[where, :, slots] = qkv[:, :, rotated_heads:]
            mixed = F.scaled_dot_product_attention(
                qk[:, :, : self.heads].transpose(1, 2),
                rows.take(keys),
                rows.take(values),
                attn_mask=mask,
                enable_gqa=self.heads != self.kv_heads,
            )
            x = x + F.linear(mixed.transpose(1, 2).flatten(2), layer.output)
            h = F.layer_norm(x, (width,), *layer.mlp_norm, self.norm_eps)
            x = x + F.linear(F.gelu(F.linear(h, layer.up)), layer.down)
        rows.put(state.position, positions[:, -1] + 1)
        return x

    def _mask(self, positions: Tensor) -> Tensor:
        """Return which ring slots each position sees: bool [B, 1, T, ring]."""
        newest = positions[:, -1:]  # [B, 1]
        slot = torch.arange(self.ring, device=positions.device)
        held = newest - (newest - slot) % self.ring  # [B, ring], the position that each slot holds
        held, query = held[:, None, :], positions[:, :, None]
        return ((held >= 0) & (held <= query) & (held > query - self.window))[:, None]
