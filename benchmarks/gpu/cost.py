"""Counts what a step costs a GPU: kernels that are launched and bytes that are read and written.

It follows torch's operators while they run, on any device, "meta" included. An operator that is one kernel on a GPU
counts as one although it may be several on a CPU: RMSNorm and attention.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

VIEWS = frozenset(
    "alias as_strided chunk detach expand lift_fresh permute select slice split split_with_sizes squeeze t transpose "
    "unbind unflatten unfold unsqueeze view view_as_complex view_as_real _reshape_alias _unsafe_view".split()
)
NOTHING = frozenset("empty empty_like empty_strided new_empty resize_ set_ is_pinned _pin_memory".split())
SEVERAL = {"topk": 2, "where": 1}
GATHERS = frozenset({"embedding", "gather", "index", "index_select"})


class Cost(TorchDispatchMode):
    """Counts while it is entered: `with Cost() as cost: model.step(...)`."""

    def __init__(self) -> None:
        super().__init__()
        self.by_operator: Counter[str] = Counter()
        self.bytes = 0

    @property
    def kernels(self) -> int:
        return self.by_operator.total()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if name in VIEWS or name in NOTHING or _is_view(made, given, name):
            return out
        self.by_operator[name] += SEVERAL.get(name, 1)
        self.bytes += _moved(name, given, made)
        return out


def count(step: Callable[[], object]) -> Cost:
    """Return what one call of `step` costs; it must have run before, since the first time lays things out."""
    with Cost() as cost:
        step()
    return cost


def _is_view(made: list[Tensor], given: list[Tensor], name: str) -> bool:
    """Tell whether nothing was computed: operators such as `reshape` and `to` give back what they got if they can."""
    if name not in ("reshape", "contiguous", "to", "flatten", "clone", "_to_copy"):
        return False
    return bool(made and given) and made[0].untyped_storage()._cdata == given[0].untyped_storage()._cdata


def _moved(name: str, given: list[Tensor], made: list[Tensor]) -> int:
    """Return the bytes that an operator reads and writes."""
    if name in GATHERS:  # no more of the table than is taken
        return 2 * sum(map(_size, made))
    if name == "index_copy_":
        return 2 * _size(given[-1])
    return sum(map(_size, given)) + sum(map(_size, made))


def _size(tensor: Tensor) -> int:
    """Return the bytes that a tensor's numbers take, those that are repeated by a stride of 0 once."""
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else 1
    return count * tensor.element_size()
