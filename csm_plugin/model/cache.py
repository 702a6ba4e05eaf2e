"""Keys and values of what was said: one row a conversation, valid up to each row's own length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.rows import Rows
from csm_plugin.model.transformer import Attend, TransformerShape


@dataclass(frozen=True, slots=True)
class CacheSnapshot:
    """A copy of one row's first positions, to start other rows from: keys and values [L, Hkv, n, hd]."""

    keys: Tensor
    values: Tensor

    @property
    def length(self) -> int:
        return self.keys.shape[2]


class KVCache:
    """Static keys and values [L, rows, Hkv, positions, hd].

    The cache does not know how much of a row is valid: callers pass lengths. Positions past a row's length may hold
    anything finite. Not thread-safe: the device thread owns it.
    """

    def __init__(self, shape: TransformerShape, rows: int, dtype: torch.dtype, device: torch.device) -> None:
        size = (shape.layers, rows, shape.kv_heads, shape.positions, shape.head_dim)
        self.keys = torch.zeros(size, dtype=dtype, device=device)
        self.values = torch.zeros(size, dtype=dtype, device=device)

    @property
    def bytes_per_row(self) -> int:
        return 2 * self.keys[:, 0].numel() * self.keys.element_size()

    def prefill(self, row: int, start: int, length: int) -> Attend:
        """Return the attention of `length` new positions of one row behind its first `start`."""
        end = start + length
        mask = None
        if length > 1:
            mask = torch.ones(length, end, dtype=torch.bool, device=self.keys.device).tril(start)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self.keys[layer, row, :, :end], self.values[layer, row, :, :end]  # [Hkv, end, hd]
            keys[:, start:] = k[0].transpose(0, 1)
            values[:, start:] = v[0].transpose(0, 1)
            mixed = F.scaled_dot_product_attention(
                q.transpose(1, 2), keys[None], values[None], attn_mask=mask, enable_gqa=True
            )
            return mixed.transpose(1, 2).flatten(2)

        return attend

    def step_exact(self, rows: Rows, positions: Tensor, lengths: list[int]) -> Attend:
        """Return the attention of one new position a row that reads exactly the valid keys of each row.

        Args:
            positions: int64 [B], where the new keys go.
            lengths: the same numbers on the host, so that each row's keys are a view and nothing is copied.
        """

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self.keys[layer], self.values[layer]  # [R, Hkv, P, hd]
            keys[rows.index, :, positions] = k[:, 0]
            values[rows.index, :, positions] = v[:, 0]
            grouped = q.view(q.shape[0], keys.shape[1], -1, q.shape[-1])  # [B, Hkv, G, hd]
            mixed = [
                F.scaled_dot_product_attention(
                    grouped[i : i + 1], keys[row : row + 1, :, : length + 1], values[row : row + 1, :, : length + 1]
                )
                for i, (row, length) in enumerate(zip(rows.numbers, lengths, strict=True))
            ]
            together = mixed[0] if len(mixed) == 1 else torch.cat(mixed)
            return together.reshape(q.shape[0], 1, -1)

        return attend

    def step_masked(self, rows: Rows, positions: Tensor) -> Attend:
        """Return the attention of one new position a row with all shapes fixed, as a CUDA graph needs it.

        `rows` must be a run of neighbours, so that their keys are a view.
        """
        reach = torch.arange(self.keys.shape[3], device=self.keys.device)
        mask = (reach <= positions[:, None])[:, None, None]  # [B, 1, 1, P]

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self.keys[layer], self.values[layer]
            keys[rows.index, :, positions] = k[:, 0]
            values[rows.index, :, positions] = v[:, 0]
            grouped = q.view(q.shape[0], keys.shape[1], -1, q.shape[-1])
            mixed = F.scaled_dot_product_attention(grouped, rows.take(keys), rows.take(values), attn_mask=mask)
            return mixed.reshape(q.shape[0], 1, -1)

        return attend

    def snapshot(self, row: int, length: int) -> CacheSnapshot:
        """Copy the first `length` positions of a row."""
        return CacheSnapshot(self.keys[:, row, :, :length].clone(), self.values[:, row, :, :length].clone())

    def restore(self, row: int, snapshot: CacheSnapshot) -> None:
        """Write a snapshot to the start of a row."""
        self.keys[:, row, :, : snapshot.length] = snapshot.keys
        self.values[:, row, :, : snapshot.length] = snapshot.values

    def clear(self, row: int) -> None:
        """Zero a row: needed once after anything that was not finite, because masked keys are still multiplied by 0."""
        self.keys[:, row] = 0
        self.values[:, row] = 0
