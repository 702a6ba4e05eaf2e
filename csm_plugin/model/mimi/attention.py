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
    """A transformer in which a position sees itself and the `window - 1` before it."""

    name: str
    layers: list[WindowLayer]
    heads: int
    kv_heads: int
    window: int
    norm_eps: float
    rotation: Tensor  # complex64 [positions, hd / 2]

    def state(self) -> Sizes:
        size = (self.window - 1, 2 * self.kv_heads, 2 * self.rotation.shape[1])
        return {f"{self.name}.{index}": size for index in range(len(self.layers))}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        """Run the next chunk [B, T, D] and advance the streams by T positions."""
        length, width = x.shape[1:]
        past = self.window - 1
        start = rows.take(state.position)[:, None]  # [B, 1]
        positions = start + torch.arange(length, device=x.device)  # [B, T]
        rotation = self.rotation[positions].unsqueeze(2)  # [B, T, 1, hd / 2]
        reach = torch.arange(past + length, device=x.device)
        band = torch.ones(length, past + length, dtype=torch.bool, device=x.device).tril(past).triu()
        mask = (band & (reach >= past - start)[:, None])[:, None]  # [B, 1, T, past + T]
        rotated = self.heads + self.kv_heads
        for index, layer in enumerate(self.layers):
            h = F.layer_norm(x, (width,), *layer.attention_norm, self.norm_eps)
            qkv = F.linear(h, layer.qkv).unflatten(2, (rotated + self.kv_heads, -1))
            rotate(qkv[:, :, :rotated], rotation)
            name = f"{self.name}.{index}"
            seen = torch.cat((state.take(name, rows), qkv[:, :, self.heads :]), dim=1)  # [B, past + T, 2 Hkv, hd]
            state.carry(name, rows, seen[:, length:])
            keys, values = seen.transpose(1, 2).split(self.kv_heads, dim=1)
            mixed = F.scaled_dot_product_attention(
                qkv[:, :, : self.heads].transpose(1, 2),
                keys,
                values,
                attn_mask=mask,
                enable_gqa=self.heads != self.kv_heads,
            )
            x = x + F.linear(mixed.transpose(1, 2).flatten(2), layer.output)
            h = F.layer_norm(x, (width,), *layer.mlp_norm, self.norm_eps)
            x = x + F.linear(F.gelu(F.linear(h, layer.up)), layer.down)
        rows.put(state.position, positions[:, -1] + 1)
        return x
