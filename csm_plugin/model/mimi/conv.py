"""Causal convolutions that continue where the last chunk ended.

Source: transformers' `MimiConv1d` and `MimiConvTranspose1d`. A convolution sees the last inputs of the previous chunk
in place of its left padding; a transposed one adds the tail of the previous chunk to the head of its output, where the
reference trims the tail.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.mimi.stream import StreamState
from csm_plugin.model.rows import Rows

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class CausalConv:
    """A strided, dilated, causal convolution."""

    name: str
    weight: Tensor  # [out, in / groups, kernel]
    bias: Tensor | None
    stride: int = 1
    dilation: int = 1

    @property
    def padding(self) -> int:
        return (self.weight.shape[2] - 1) * self.dilation + 1 - self.stride

    def state(self) -> dict[str, tuple[int, ...]]:
        return {self.name: (self.weight.shape[1], self.padding)} if self.padding else {}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows, fresh: Tensor | None = None) -> Tensor:
        """Convolve the next chunk: [B, in, T] to [B, out, T / stride]; T is a multiple of the stride.

        A stream starts behind zeros or, where `fresh` (bool [B]) marks it, behind copies of its first value.
        """
        if self.padding:
            tail = state.take(self.name, rows)
            if fresh is not None:
                tail = torch.where(fresh[:, None, None], x[:, :, :1], tail)
            x = torch.cat((tail, x), dim=2)
            state.carry(self.name, rows, x[:, :, -self.padding :])
        return F.conv1d(x, self.weight, self.bias, self.stride, dilation=self.dilation)


@dataclass(frozen=True, slots=True)
class CausalConvTranspose:
    """A transposed convolution whose overlap is carried to the next chunk."""

    name: str
    weight: Tensor  # [in, out / groups, kernel]
    bias: Tensor | None
    stride: int
    groups: int = 1

    @property
    def overlap(self) -> int:
        return self.weight.shape[2] - self.stride

    def state(self) -> dict[str, tuple[int, ...]]:
        return {self.name: (self.weight.shape[1] * self.groups, self.overlap)} if self.overlap else {}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        """Convolve the next chunk: [B, in, T] to [B, out, T * stride]."""
        y = F.conv_transpose1d(x, self.weight, None, self.stride, groups=self.groups)
        if self.overlap:
            y[:, :, : self.overlap] += state.take(self.name, rows)
            state.carry(self.name, rows, y[:, :, -self.overlap :])
            y = y[:, :, : -self.overlap]
        return y if self.bias is None else y + self.bias[:, None]


@dataclass(frozen=True, slots=True)
class ResidualUnit:
    """SEANet's residual block: x + conv(elu(conv(elu(x))))."""

    first: CausalConv
    second: CausalConv

    def state(self) -> dict[str, tuple[int, ...]]:
        return self.first.state() | self.second.state()

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        return x + self.second(F.elu(self.first(F.elu(x), state, rows)), state, rows)
