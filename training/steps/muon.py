"""Muon: momentum whose steps are turned into orthogonal matrices.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). torch has one for matrices;
this one takes convolutions, too, as matrices of one row for each first index.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5


class Muon(Optimizer):
    """For weights of two or more dimensions inside a network; embeddings, heads and vectors want AdamW."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        """
        Args:
            weights: [rows, ...] each.
            lr: the singular values of a step.
            momentum: of Nesterov's kind.
            weight_decay: decoupled.
        """
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        update = gradient.lerp(momentum, group["momentum"]).flatten(1)
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(orthogonal(update).view_as(weight), alpha=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are all about one, by Newton and Schulz: [M, N] -> [M, N]."""
    wide = matrix.shape[0] <= matrix.shape[1]
    found = (matrix if wide else matrix.T).bfloat16()  # as precise as this needs to be
    found = found / (found.norm() + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_ROUNDS):
        square = found @ found.T
        found = a * found + (b * square + c * square @ square) @ found
    return (found if wide else found.T).to(matrix.dtype)


def split(named: Iterable[tuple[str, Tensor]], inside: Callable[[str], bool]) -> tuple[list[Tensor], list[Tensor]]:
    """Weights for Muon, and those for AdamW.

    Args:
        named: all weights that are trained.
        inside: whether a weight of that name lies inside the network, not at its edge.
    """
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, weight in named:
        fits = weight.ndim >= 2 and min(weight.flatten(1).shape) > 1
        if weight.requires_grad:
            (matrices if fits and inside(name) else others).append(weight)
    return matrices, others


def prepare(optimisers: Iterable[Optimizer], share: float) -> None:
    """Before a step: no gradients, and learning rates that are this share of those they began with."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = share * optimiser.defaults["lr"]
        optimiser.zero_grad(set_to_none=True)
