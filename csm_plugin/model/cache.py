"""Keys and values of what was said: one row a conversation, valid up to each row's own length."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.rows import Rows
from csm_plugin.model.transformer import Attend, TransformerShape


class KVCache:
    """Static keys and values, together [L, rows, positions, 2 Hkv, hd], keys first.

    The cache does not know how much of a row is valid: callers pass lengths. Positions past a row's length may hold
    anything finite. Not thread-safe: the device thread owns it.
    """

    def __init__(self, shape: TransformerShape, rows: int, dtype: torch.dtype, device: torch.device) -> None:
        size = (shape.layers, rows, shape.positions, 2 * shape.kv_heads, shape.head_dim)
        self.shape = shape
        self.data = torch.zeros(size, dtype=dtype, device=device)

    @property
    def bytes_per_row(self) -> int:
        return self.data[:, 0].numel() * self.data.element_size()

    def prefill(self, row: int, start: int, length: int) -> Attend:
        """Return the attention of `length` new positions of one row behind its first `start`."""
        end = start + length
        heads, kv_heads = self.shape.heads, self.shape.kv_heads
        mask = torch.ones(length, end, dtype=torch.bool, device=self.data.device).tril(start)

        def attend(layer: int, qkv: Tensor) -> Tensor:
            cached = self.data[layer, row, :end]  # [end, 2 Hkv, hd]
            cached[start:] = qkv[:, heads:]
            keys, values = cached.transpose(0, 1)[None].split(kv_heads, dim=1)  # [1, Hkv, end, hd]
            queries = qkv[None, :, :heads].transpose(1, 2)
            mixed = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=mask, enable_gqa=heads != kv_heads
            )
            return mixed[0].transpose(0, 1).flatten(1)

        return attend

    def step_exact(self, rows: Rows, lengths: list[int]) -> Attend:
        """Return the attention of one new position a row, behind the `lengths` valid ones, reading exactly those."""
        heads, kv_heads = self.shape.heads, self.shape.kv_heads

        def attend(layer: int, qkv: Tensor) -> Tensor:
            mixed = []
            for index, (row, length) in enumerate(zip(rows.numbers, lengths, strict=True)):
                cached = self.data[layer, row, : length + 1]  # [n, 2 Hkv, hd]
                cached[length] = qkv[index, heads:]
                keys, values = cached.transpose(0, 1)[None].split(kv_heads, dim=1)
                queries = qkv[index, :heads].view(1, kv_heads, -1, self.shape.head_dim)  # [1, Hkv, G, hd]
                mixed.append(F.scaled_dot_product_attention(queries, keys, values).view(1, -1))
            return mixed[0] if len(mixed) == 1 else torch.cat(mixed)

        return attend

    def step_masked(self, rows: Rows, positions: Tensor) -> Attend:
        """Return the attention of one new position a row with all shapes fixed, as a CUDA graph needs it.

        Args:
            rows: a run of neighbours, so that their keys are a view.
            positions: int64 [B], where the new keys go.
        """
        heads, kv_heads = self.shape.heads, self.shape.kv_heads
        reach = torch.arange(self.shape.positions, device=self.data.device)
        mask = (reach <= positions[:, None])[:, None, None]  # [B, 1, 1, P]

        def attend(layer: int, qkv: Tensor) -> Tensor:
            data = self.data[layer]
            data[rows.index, positions] = qkv[:, heads:]
            keys, values = rows.take(data).transpose(1, 2).split(kv_heads, dim=1)  # [B, Hkv, P, hd]
            queries = qkv[:, :heads].view(len(rows), kv_heads, -1, self.shape.head_dim)
            return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask).flatten(1)

        return attend

    def snapshot(self, row: int, length: int) -> Tensor:
        """Copy the first `length` positions of a row: [L, length, 2 Hkv, hd]."""
        return self.data[:, row, :length].clone()

    def restore(self, row: int, snapshot: Tensor) -> None:
        """Write a snapshot to the start of a row."""
        self.data[:, row, : snapshot.shape[1]] = snapshot

    def clear(self, row: int) -> None:
        """Zero a row: needed once after anything that was not finite, because masked keys are still multiplied by 0."""
        self.data[:, row] = 0
