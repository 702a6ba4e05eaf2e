"""Causal convolutions that continue where the last chunk ended, over channels-last chunks [B, T, C].

Source: transformers' `MimiConv1d` and `MimiConvTranspose1d`. A convolution sees the last inputs of the previous chunk
in place of its left padding; a transposed one adds the tail of the previous chunk to the head of its output, where the
reference trims the tail. Chunks are short, so both are matrix products over windows: several times faster on a CPU
than convolution kernels, which are made for long inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.mimi.stream import StreamState
from csm_plugin.model.rows import Rows

Sizes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class CausalConv:
    """A strided, dilated, causal convolution."""

    name: str
    weight: Tensor  # [out, kernel * in]
    bias: Tensor | None
    kernel: int
    stride: int
    dilation: int

    @classmethod
    def of(cls, name: str, weight: Tensor, bias: Tensor | None, stride: int = 1, dilation: int = 1) -> CausalConv:
        """Build it from a Conv1d's weight [out, in, kernel]."""
        kernel = weight.shape[2]
        return cls(name, weight.transpose(1, 2).flatten(1).contiguous(), bias, kernel, stride, dilation)

    @property
    def reach(self) -> int:
        return (self.kernel - 1) * self.dilation + 1

    @property
    def padding(self) -> int:
        return self.reach - self.stride

    def state(self) -> Sizes:
        return {self.name: (self.padding, self.weight.shape[1] // self.kernel)} if self.padding else {}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows, fresh: Tensor | None = None) -> Tensor:
        """Convolve the next chunk: [B, T, in] to [B, T / stride, out]; T is a multiple of the stride.

        A stream starts behind zeros or, where `fresh` (bool [B]) marks it, behind copies of its first value.
        """
        if self.padding:
            tail = state.take(self.name, rows)
            if fresh is not None:
                tail = torch.where(fresh[:, None, None], x[:, :1], tail)
            x = torch.cat((tail, x), dim=1)
            state.carry(self.name, rows, x[:, -self.padding :])
        if self.reach > 1:
            windows = x.unfold(1, self.reach, self.stride)[..., :: self.dilation]  # [B, T / stride, in, kernel]
            x = windows.transpose(2, 3).flatten(2)
        return F.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class CausalConvTranspose:
    """A transposed convolution of kernel 2 * stride, whose second half is carried into the next chunk."""

    name: str
    weight: Tensor  # [2 * stride * out, in]
    bias: Tensor  # [2 * stride * out], zero in its second half
    stride: int

    @classmethod
    def of(cls, name: str, weight: Tensor, bias: Tensor, stride: int) -> CausalConvTranspose:
        """Build it from a ConvTranspose1d's weight [in, out, 2 * stride] and bias [out]."""
        spread = torch.cat((bias.repeat(stride), torch.zeros_like(bias).repeat(stride)))
        return cls(name, weight.permute(2, 1, 0).flatten(0, 1).contiguous(), spread, stride)

    def state(self) -> Sizes:
        return {self.name: (1, len(self.bias) // 2)}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        """Convolve the next chunk: [B, T, in] to [B, T * stride, out]."""
        now, later = F.linear(x, self.weight, self.bias).chunk(2, dim=-1)  # [B, T, stride * out]
        return _overlap(self.name, now, later, self.stride, state, rows)


@dataclass(frozen=True, slots=True)
class Upsample:
    """A transposed convolution of kernel 2 * stride in which every channel stands alone."""

    name: str
    now: Tensor  # [stride, C]
    later: Tensor  # [stride, C]

    @classmethod
    def of(cls, name: str, weight: Tensor) -> Upsample:
        """Build it from a depth-wise ConvTranspose1d's weight [C, 1, 2 * stride]."""
        now, later = weight[:, 0].T.chunk(2)
        return cls(name, now.contiguous(), later.contiguous())

    def state(self) -> Sizes:
        return {self.name: (1, self.now.numel())}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        """Upsample the next chunk: [B, T, C] to [B, T * stride, C]."""
        x = x[:, :, None]
        return _overlap(self.name, (x * self.now).flatten(2), (x * self.later).flatten(2), len(self.now), state, rows)


@dataclass(frozen=True, slots=True)
class ResidualUnit:
    """SEANet's residual block: x + conv(elu(conv(elu(x))))."""

    first: CausalConv
    second: CausalConv

    def state(self) -> Sizes:
        return self.first.state() | self.second.state()

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        return x + self.second(F.elu(self.first(F.elu(x), state, rows)), state, rows)


def _overlap(name: str, now: Tensor, later: Tensor, stride: int, state: StreamState, rows: Rows) -> Tensor:
    """Add what each step [B, T, stride * C] leaves for the next one, across the chunk's border too."""
    earlier = torch.cat((state.take(name, rows), later[:, :-1]), dim=1)
    state.carry(name, rows, later[:, -1:])
    return (now + earlier).unflatten(2, (stride, -1)).flatten(1, 2)
