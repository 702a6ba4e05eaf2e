"""Rotary positions: what a configuration says of them, in the old layout and in the new one, and their frequencies.

Source: transformers' `modeling_rope_utils`; the original code's `Llama3ScaledRoPE` is its "llama3" in other numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor

LLAMA3 = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
NEEDED: dict[str, tuple[str, ...]] = {"default": (), "linear": ("factor",), "llama3": LLAMA3}
"""The kinds of scaling that are known, and the numbers that each of them needs."""


@dataclass(frozen=True, slots=True)
class Rope:
    """How positions turn queries and keys.

    Args:
        theta: the base of the frequencies.
        kind: "default", "linear" or "llama3".
        factor: by how much frequencies are lowered: all of them, or with "llama3" the low ones.
        low: "llama3": waves longer than `original / low` positions are lowered by the whole factor.
        high: "llama3": waves shorter than `original / high` positions are not lowered.
        original: "llama3": the positions that the model was first trained with.
    """

    theta: float
    kind: str = "default"
    factor: float = 1.0
    low: float = 1.0
    high: float = 4.0
    original: float = 8192.0

    @classmethod
    def of(cls, config: Mapping[str, object], theta: float) -> Rope:
        """Read it from a configuration: `rope_scaling` beside `rope_theta`, or `rope_parameters`.

        Args:
            theta: the base where the configuration names none.

        Raises:
            ValueError: a kind is unknown or a number is missing or wrong.
        """
        given = config.get("rope_scaling") or config.get("rope_parameters") or {}  # in transformers' order
        if not isinstance(given, Mapping):
            raise ValueError(f"the rotary positions are {given!r}; they must be named numbers")
        kind = given.get("rope_type", given.get("type", "default"))
        if not isinstance(kind, str) or kind not in NEEDED:
            raise ValueError(f"the rotary positions are of type {kind!r}; known are {', '.join(NEEDED)}")
        if given.get("partial_rotary_factor", 1.0) != 1.0:
            raise ValueError("partial_rotary_factor is set; positions that turn a part of a head are not supported")
        base = given.get("rope_theta", config.get("rope_theta", theta))
        numbers = [_positive("rope_theta", base), *(_positive(name, given.get(name)) for name in NEEDED[kind])]
        return cls(numbers[0], kind, *numbers[1:])

    def inverse_frequencies(self, head_dim: int) -> Tensor:
        """Return the frequency of each pair of a head: float32 [head_dim / 2]."""
        places = torch.arange(0, head_dim, 2, dtype=torch.int64).float()
        frequencies = 1.0 / (self.theta ** (places / head_dim))
        if self.kind == "default":
            return frequencies
        lowered = frequencies / self.factor
        if self.kind == "linear":
            return lowered
        lengths = 2 * math.pi / frequencies
        share = (self.original / lengths - self.low) / (self.high - self.low)
        between = (1 - share) * frequencies / self.factor + share * frequencies
        shorter = torch.where(lengths < self.original / self.high, frequencies, between)
        return torch.where(lengths > self.original / self.low, lowered, shorter)

    def table(self, head_dim: int, positions: int) -> Tensor:
        """Return e^(i * position * frequency): complex64 [positions, head_dim / 2]."""
        angles = torch.arange(positions, dtype=torch.float32)[:, None] * self.inverse_frequencies(head_dim)
        return torch.polar(torch.ones_like(angles), angles)


def interleave_pairs(weight: Tensor, head_dim: int) -> Tensor:
    """Reorder the output rows of a query or key projection so that RoPE's pairs (i, i + hd/2) lie side by side."""
    rows, width = weight.shape
    halves = weight.view(rows // head_dim, 2, head_dim // 2, width)
    return halves.transpose(1, 2).reshape(rows, width)


def separate_pairs(weight: Tensor, head_dim: int) -> Tensor:
    """Undo `interleave_pairs`."""
    rows, width = weight.shape
    pairs = weight.view(rows // head_dim, head_dim // 2, 2, width)
    return pairs.transpose(1, 2).reshape(rows, width)


def _positive(name: str, value: object) -> float:
    if not is_positive(value):
        raise ValueError(f"{name} of the rotary positions is {repr(value)[:80]}; it must be a positive number")
    return float(value)


def is_positive(value: object) -> TypeGuard[int | float]:
    """Whether something that was read from JSON is a positive number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= sys.float_info.max
