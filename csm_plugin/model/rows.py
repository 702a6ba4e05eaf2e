"""Which rows of the static state a call works on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Rows:
    """Some rows of tensors whose first dimension is the row.

    Neighbouring rows are taken as a view, others are gathered, so one live row never costs a copy.
    """

    __slots__ = ("_select", "index", "numbers")

    def __init__(self, numbers: Sequence[int], device: torch.device | str) -> None:
        self.numbers = list(numbers)
        self.index = torch.tensor(self.numbers, dtype=torch.int64, device=device)  # [B]
        first, count = self.numbers[0], len(self.numbers)
        neighbours = self.numbers == list(range(first, first + count))
        self._select: slice | Tensor = slice(first, first + count) if neighbours else self.index

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, state: Tensor) -> Tensor:
        """Return the rows of `state` [R, ...] as [B, ...]; a view where they are neighbours."""
        return state[self._select]

    def put(self, state: Tensor, value: Tensor) -> None:
        """Write `value` [B, ...] to the rows of `state` [R, ...]."""
        state[self._select] = value
