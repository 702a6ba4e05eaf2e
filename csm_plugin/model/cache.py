"""Keys and values of what was said: one row a conversation, valid up to each row's own length."""

from __future__ import annotations

import torch
from torch import Tensor

from csm_plugin.model.alignment import AttentionProbe, Seen
from csm_plugin.model.attention import attention_on, padded
from csm_plugin.model.rows import Rows
from csm_plugin.model.transformer import Attend, Transformer, pairs, rotate


class KVCache:
    """Static keys and values, together [L, rows, positions + 1, 2 Hkv, hd], keys first.

    The cache does not know how much of a row is valid: callers pass lengths. Positions past a row's length may hold
    anything finite. The position behind the last one is never read: idle rows among live ones write there. Not
    thread-safe: the device thread owns it.
    """

    def __init__(self, transformer: Transformer, rows: int, dtype: torch.dtype, device: torch.device) -> None:
        self.shape = shape = transformer.shape
        size = (shape.layers, rows, shape.positions + 1, 2 * shape.kv_heads, shape.head_dim)
        self.data = torch.zeros(size, dtype=dtype, device=device)
        self._rotation = transformer.rotation
        self._mix = attention_on(device, dtype, shape.head_dim)
        self._by_head = self.data.transpose(2, 3).split(shape.kv_heads, dim=2)  # 2 x [L, rows, Hkv, P + 1, hd]
        self._by_place = self.data.flatten(1, 2).unbind()  # L x [rows * (P + 1), 2 Hkv, hd]

    @property
    def bytes_per_row(self) -> int:
        return self.data[:, 0].numel() * self.data.element_size()

    def prefill(self, row: int, start: int, length: int) -> Attend:
        """Return the attention of `length` new positions of one row behind its first `start`."""
        end, (heads, kv_heads) = start + length, (self.shape.heads, self.shape.kv_heads)
        group = heads // kv_heads
        rotation = self._rotation[start:end, None]
        reach = start + torch.arange(length * group, device=self.data.device) // group
        bias = self._bias(reach[:, None], end)  # [length * G, end]

        def attend(layer: int, weight: Tensor, x: Tensor) -> Tensor:
            qkv = self._project(x, weight, rotation)
            self.data[layer, row, start:end] = qkv[:, heads:]
            keys, values = (part[layer, row, None, :, :end] for part in self._by_head)  # [1, Hkv, end, hd]
            queries = qkv[:, :heads].unflatten(1, (kv_heads, group)).transpose(0, 1)  # [Hkv, length, G, hd]
            mixed = self._mix(queries.flatten(1, 2)[None], keys, values, bias)[0]
            return mixed.unflatten(1, (length, group)).transpose(0, 1).flatten(1)

        return attend

    def step(
        self, rows: Rows, positions: Tensor, lengths: list[int] | None, probe: AttentionProbe | None = None
    ) -> Attend:
        """Return the attention of one new position a row.

        Args:
            positions: int64 [B], where the new keys go; all before them are valid.
            lengths: the same on the host, so that no more than needed is read. None reads everything, in fixed shapes.
            probe: takes in where the queries look.
        """
        shape = self.shape
        if lengths is None:
            positions = positions.clamp(max=shape.positions)
        if rows.live is not None:
            positions = torch.where(rows.live, positions, shape.positions)
        rotation = self._rotation[positions][:, None]  # [B, 1, hd / 2]: the same for all heads
        places = rows.index * (shape.positions + 1) + positions
        seen = [self._seen(batch, kept, positions, lengths) for batch, kept in rows.runs]

        def attend(layer: int, weight: Tensor, x: Tensor) -> Tensor:
            qkv = self._project(x, weight, rotation)
            self._by_place[layer].index_copy_(0, places, qkv[:, shape.heads :])
            queries = qkv[:, : shape.heads].unflatten(1, (shape.kv_heads, -1))  # [B, Hkv, G, hd]
            if probe is not None:
                probe.look(layer, queries, seen)
            mixed = [self._mix(queries[batch], keys[layer], values[layer], bias) for batch, keys, values, bias in seen]
            return (mixed[0] if len(mixed) == 1 else torch.cat(mixed)).flatten(1)

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

    def _project(self, x: Tensor, weight: Tensor, rotation: Tensor) -> Tensor:
        """Return rotated queries and keys, with values, of some positions: [N, H + 2 Hkv, hd]."""
        qkv = torch.mm(x, weight).view(len(x), -1, self.shape.head_dim)
        rotate(pairs(qkv[:, : self.shape.heads + self.shape.kv_heads]), rotation)
        return qkv

    def _seen(self, batch: slice, kept: slice, positions: Tensor, lengths: list[int] | None) -> Seen:
        """Return each layer's keys and values of a run of rows, and the bias against invalid ones: [b, 1, 1, end]."""
        reach = {self.shape.positions - 1} if lengths is None else set(lengths[batch])
        end = max(reach) + 1
        keys, values = (part[:, kept, :, :end].unbind() for part in self._by_head)  # L x [b, Hkv, end, hd]
        if lengths is not None and len(reach) == 1:
            return batch, keys, values, None
        return batch, keys, values, self._bias(positions[batch, None], end)[:, None, None]

    def _bias(self, reach: Tensor, end: int) -> Tensor:
        """Return what is added to the scores of `end` keys, seen by N queries up to their `reach` [N, 1]: [N, end]."""
        seen = torch.arange(padded(end), device=reach.device) <= reach
        return torch.zeros((), dtype=self.data.dtype, device=reach.device).where(seen, -torch.inf)[:, :end]
