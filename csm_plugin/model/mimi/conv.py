"""Causal convolutions that continue where the last chunk ended, over channels-last chunks [B, T, C].

Source: transformers' `MimiConv1d` and `MimiConvTranspose1d`. A convolution sees the last inputs of the previous chunk
in place of its left padding. A transposed one, of twice its stride, makes `stride` outputs out of an input and the one
before: a convolution of kernel 2 that makes a block of outputs at once. Chunks are short, so all are matrix products
over windows: several times faster on a CPU than convolution kernels, which are made for long inputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.mimi.stream import StreamState
from csm_plugin.model.rows import Rows

Sizes = dict[str, tuple[int, ...]]


LOG2_E = math.log2(math.e)
NARROW = 16  # outputs below which matrix products are slow
LARGE = 2**12  # numbers from which several fast passes beat one slow one


@dataclass(frozen=True, slots=True)
class CausalConv:
    """A strided, dilated, causal convolution."""

    name: str
    weight: Tensor  # [block * out, kernel * in]
    bias: Tensor | None
    kernel: int
    stride: int
    dilation: int
    block: int = 1  # neighbouring outputs that are made at once

    @classmethod
    def of(cls, name: str, weight: Tensor, bias: Tensor | None, stride: int = 1, dilation: int = 1) -> CausalConv:
        """Build it from a Conv1d's weight [out, in, kernel].

        Narrow ones make two neighbouring outputs at once: they are convolutions of stride 2 with twice the outputs.
        """
        block = 1
        if bias is not None and 1 < len(weight) < NARROW and weight.shape[2] > 1 == stride == dilation:
            weight = torch.cat((F.pad(weight, (0, 1)), F.pad(weight, (1, 0))))
            bias, block = bias.repeat(2), 2
        spread = weight.transpose(1, 2).flatten(1).contiguous()
        return cls(name, spread, bias, weight.shape[2], stride * block, dilation, block)

    @classmethod
    def transposed(cls, name: str, weight: Tensor, bias: Tensor, stride: int) -> CausalConv:
        """Build it from a ConvTranspose1d's weight [in, out, 2 * stride] and bias [out]."""
        now, before = weight.permute(2, 1, 0).flatten(0, 1).chunk(2)  # [stride * out, in]
        return cls(name, torch.cat((before, now), dim=1), bias.repeat(stride), 2, 1, 1, stride)

    @property
    def reach(self) -> int:
        return (self.kernel - 1) * self.dilation + 1

    @property
    def padding(self) -> int:
        return self.reach - self.stride

    def state(self) -> Sizes:
        return {self.name: (self.padding, self.weight.shape[1] // self.kernel)} if self.padding else {}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows, fresh: Tensor | None = None) -> Tensor:
        """Convolve the next chunk: [B, T, in] to [B, T * block / stride, out]; T is a multiple of the stride.

        A stream starts behind zeros or, where `fresh` (bool [B]) marks it, behind copies of its first value.
        """
        if self.padding:
            kept = state.tensors[self.name]
            tail = rows.take(kept)
            if fresh is not None:
                tail = torch.where(fresh[:, None, None], x[:, :1], tail)
            x = torch.cat((tail, x), dim=1)
            rows.put(kept, x[:, -self.padding :])
        if self.reach > 1:
            windows = x.unfold(1, self.reach, self.stride)[..., :: self.dilation]  # [B, T / stride, in, kernel]
            x = windows.transpose(2, 3).flatten(2).contiguous()
        return F.linear(x, self.weight, self.bias).view(len(x), x.shape[1] * self.block, -1)


@dataclass(frozen=True, slots=True)
class Upsample:
    """A transposed convolution of kernel 2 * stride in which every channel stands alone."""

    name: str
    now: Tensor  # [stride, C], for the input at the same place
    before: Tensor  # [stride, C], for the one before

    @classmethod
    def of(cls, name: str, weight: Tensor) -> Upsample:
        """Build it from a depth-wise ConvTranspose1d's weight [C, 1, 2 * stride]."""
        now, before = weight[:, 0].T.contiguous().chunk(2)
        return cls(name, now, before)

    def state(self) -> Sizes:
        return {self.name: (1, self.now.shape[1])}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        """Upsample the next chunk: [B, T, C] to [B, T * stride, C]."""
        kept = state.tensors[self.name]
        before = torch.cat((rows.take(kept), x[:, :-1]), dim=1)
        rows.put(kept, x[:, -1:])
        return torch.addcmul(x[:, :, None] * self.now, before[:, :, None], self.before).flatten(1, 2)


@dataclass(frozen=True, slots=True)
class ResidualUnit:
    """SEANet's residual block: x + conv(elu(conv(elu(x))))."""

    first: CausalConv
    second: CausalConv

    def state(self) -> Sizes:
        return self.first.state() | self.second.state()

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor:
        return x + self.second(elu(self.first(elu(x), state, rows)), state, rows)


def elu(x: Tensor) -> Tensor:
    """Return ELU of `x`; where it is large and on a CPU by way of exp2, in half of the time that expm1 takes."""
    if not x.is_cpu or x.numel() < LARGE:
        return F.elu(x)
    below = x.clamp(max=0).mul_(LOG2_E).exp2_().sub_(1)
    return torch.maximum(x, below, out=below)
