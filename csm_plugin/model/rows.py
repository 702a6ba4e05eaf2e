"""Which rows of the static state a call works on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from csm_plugin.model.devices import send


class Rows:
    """Some rows of tensors whose first dimension is the row.

    Neighbouring rows are taken as a view, others are gathered, so one live row never costs a copy.

    Args:
        numbers: the rows.
        live: bool [B]; what is put to the other rows is dropped, so that a fixed set of rows can hold idle ones.
    """

    def __init__(self, numbers: Sequence[int], device: torch.device | str, live: Tensor | None = None) -> None:
        self.numbers = list(numbers)
        self.index = send(np.array(self.numbers, dtype=np.int64), device)  # [B]
        self.live = live
        self.runs = _runs(self.numbers)
        self._select: slice | Tensor = self.runs[0][1] if len(self.runs) == 1 else self.index

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def each(self) -> list[Rows]:
        """Return every row by itself."""
        live = [None] * len(self) if self.live is None else self.live.split(1)
        return [Rows([row], self.index.device, alive) for row, alive in zip(self.numbers, live, strict=True)]

    def take(self, state: Tensor) -> Tensor:
        """Return the rows of `state` [R, ...] as [B, ...]; a view where they are neighbours."""
        return state[self._select]

    def put(self, state: Tensor, value: Tensor) -> None:
        """Write `value` [B, ...] to the rows of `state` [R, ...]."""
        if self.live is not None:
            value = torch.where(self.live.view(-1, *[1] * (state.dim() - 1)), value, self.take(state))
        state[self._select] = value


def _runs(numbers: list[int]) -> list[tuple[slice, slice]]:
    """Return the runs of neighbours: their places in the batch and their rows."""
    starts = [i for i, row in enumerate(numbers) if i == 0 or row != numbers[i - 1] + 1]
    ends = [*starts[1:], len(numbers)]
    return [(slice(i, j), slice(numbers[i], numbers[i] + j - i)) for i, j in zip(starts, ends, strict=True)]
