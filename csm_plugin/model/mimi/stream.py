"""The state of codec streams: plain tensors by name, one row a stream."""

from __future__ import annotations

import torch

from csm_plugin.model.rows import Rows


class StreamState:
    """Named tensors [rows, ...], all zero at the start of a stream.

    Plain data outside the modules: it can be copied, reset and masked by row. Not thread-safe.
    """

    def __init__(self, sizes: dict[str, tuple[int, ...]], rows: int, device: torch.device) -> None:
        self.tensors = {name: torch.zeros((rows, *size), device=device) for name, size in sizes.items()}
        self.position = torch.zeros(rows, dtype=torch.int64, device=device)  # positions of the transformer so far

    @property
    def bytes_per_row(self) -> int:
        return sum(t[0].numel() * t.element_size() for t in self.tensors.values())

    def reset(self, rows: Rows) -> None:
        """Begin new streams in these rows."""
        for tensor in (*self.tensors.values(), self.position):
            rows.put(tensor, torch.zeros((), dtype=tensor.dtype, device=tensor.device))
