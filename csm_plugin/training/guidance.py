"""Guided attention: some heads are told which character each frame speaks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from csm_plugin.training.codes import NOWHERE

GUIDED_LAYERS = (1, 2, 3)  # one head, the first, in each
_REACH = 1  # characters to either side that count as right


def attention_loss(weights: Sequence[Tensor], attend: Tensor) -> Tensor:
    """How little the guided heads look at the character that is spoken next.

    Args:
        weights: attention of each layer, [B, heads, S, S], rows summing to one.
        attend: int64 [B, S], the position to look at, or `NOWHERE`.

    Returns:
        Mean negative logarithm of the weight within one character of it.
    """
    row, position = (attend != NOWHERE).nonzero(as_tuple=True)
    middle = attend[row, position]
    total = weights[0].new_zeros((), dtype=torch.float32)
    for layer in GUIDED_LAYERS:
        shifts = range(-_REACH, _REACH + 1)
        near = torch.stack([weights[layer][row, 0, position, (middle + shift).clamp(min=0)] for shift in shifts])
        total = total - (near.float().sum(dim=0) + 1e-4).log().mean()
    return total / len(GUIDED_LAYERS)
