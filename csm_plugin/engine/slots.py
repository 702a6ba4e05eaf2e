"""The rows of the model's static state, and what each row's cache holds."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from csm_plugin.conversation import Positions
from csm_plugin.model.csm import CSM

if TYPE_CHECKING:
    from csm_plugin.engine.session import Session

MAX_SNAPSHOTS = 8


class Slot:
    """One row: which positions its cache holds, in order.

    Args:
        row: its number.
        positions: how many it can hold.
        codebooks: codes a frame.
    """

    def __init__(self, row: int, positions: int, codebooks: int) -> None:
        self.row = row
        self.owner: Session | None = None
        self.last_used = 0
        self.held = np.empty((positions, 1 + codebooks), dtype=np.int32)
        self.length = 0

    def shared_with(self, target: Positions) -> int:
        """Return how many positions of `target` the cache already holds, from the start."""
        count = min(self.length, len(target))
        different = (self.held[:count] != target[:count]).any(axis=1)
        return int(different.argmax()) if different.any() else count

    def write(self, start: int, positions: Positions) -> None:
        """Note that the cache now holds `positions` behind its first `start`, and nothing after them."""
        self.length = start + len(positions)
        self.held[start : self.length] = positions


class Slots:
    """All rows. Rows are handed out lowest first; an idle conversation's row is taken when none is free.

    For the device thread only.
    """

    def __init__(self, model: CSM) -> None:
        self._model = model
        self.all = [Slot(row, model.positions, model.config.codebooks) for row in range(model.rows)]
        """Lowest first."""
        self._clock = itertools.count(1)
        self._snapshots: OrderedDict[Hashable, tuple[Tensor, int]] = OrderedDict()

    def claim(self, owner: Session, *, before: int = 0) -> Slot | None:
        """Return a row for `owner`, or None if none is to be had.

        A free one comes first; then that of the conversation that was idle longest; then, where `before` is given, that
        of one which waits with an utterance that came after number `before`.
        """
        slot = next((slot for slot in self.all if slot.owner is None), None)
        if slot is None and before:
            slot = min((slot for slot in self.all if _yields(slot.owner, before)), key=_by_use, default=None)
        if slot is None:
            return None
        self.release(slot)
        slot.owner = owner
        owner.slot = slot
        self.touch(slot)
        return slot

    def release(self, slot: Slot) -> None:
        """Take a row from its conversation; the cache is forgotten."""
        if slot.owner is not None:
            slot.owner.slot = None
            slot.owner.stale = True
        slot.owner = None
        slot.length = 0

    def touch(self, slot: Slot) -> None:
        """Note that a row was used just now."""
        slot.last_used = next(self._clock)

    def forget(self, slot: Slot) -> None:
        """Erase a row's cache after a failure, and the copy of its voice prompt's that others would start from."""
        self._model.clear(slot.row)
        self._snapshots.pop(slot.owner.voice if slot.owner is not None else None, None)
        slot.length = 0

    def advance(self, slot: Slot, target: Positions, pinned: int, key: Hashable, limit: int) -> bool:
        """Bring a row's cache closer to `target` by at most `limit` positions; tell whether it is there.

        Args:
            pinned: how many of the first positions are the voice prompt.
            key: names the prompt; its cache is computed once and copied to other rows.
        """
        start = slot.shared_with(target)
        if start < pinned and key in self._snapshots:
            snapshot, length = self._snapshots[key]
            self._model.restore(slot.row, snapshot)
            slot.write(0, target[:length])
            self._snapshots.move_to_end(key)
            start = length
        slot.length = start
        chunk = target[start : start + limit]
        if len(chunk):
            self._model.prefill(slot.row, start, chunk)
            slot.write(start, chunk)
        if pinned and slot.length >= pinned and key not in self._snapshots:
            self._snapshots[key] = (self._model.snapshot(slot.row, pinned), pinned)
            while len(self._snapshots) > MAX_SNAPSHOTS:
                self._snapshots.popitem(last=False)
        return slot.length == len(target)


def _yields(owner: Session | None, before: int) -> bool:
    """Tell whether a conversation gives its row to an utterance of number `before`."""
    if owner is None or owner.live is not None:
        return False
    return owner.first_waiting is None or owner.first_waiting > before


def _by_use(slot: Slot) -> tuple[bool, int]:
    return slot.owner is not None and slot.owner.wants_row, slot.last_used
