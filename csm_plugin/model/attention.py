"""Attention by a kernel that is named, so that no setting of the process decides which one runs.

Left to itself `scaled_dot_product_attention` takes cuDNN's on a Hopper, which builds a plan for each shape (some
30 ms): 31 in a frame, and one for nearly every prefill. The switches against that are the process's: they would reach
whatever else runs in it, and two engines would undo each other's.

Source: `torch.nn.attention.bias`, which calls the same kernels by name.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Mix = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""(queries [B, Hkv, N, hd], keys and values [B, Hkv, end, hd], what to add to the scores [B or 1, 1, N or 1, end] or
None) -> [B, Hkv, N, hd]. The bias is of the queries' dtype, and a slice of rows that are `padded`."""

AMPERE = (8, 0)  # compute capability from which there are the flash kernel, and bfloat16
ALIGNED = 16  # numbers; the memory-efficient kernel wants each row of its bias to begin at a multiple of them


def attention_on(device: torch.device, dtype: torch.dtype, head_dim: int) -> Mix:
    """Return the attention for a device; grouped queries come as more queries of one head."""
    if device.type != "cuda" or torch.version.hip is not None or head_dim % 8:
        return mix
    new = torch.cuda.get_device_capability(device) >= AMPERE
    if dtype == torch.bfloat16 and not new:
        return mix  # emulated there, and no kernel by itself
    flash = dtype != torch.float32 and head_dim <= 256 and torch.backends.cuda.is_flash_attention_available()
    return mix_by_flash if flash and new else mix_by_efficient


def mix(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attend with whatever kernel torch chooses: on a CPU there is one."""
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)


def mix_by_flash(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attend with the flash kernel or, as that knows no bias, with the memory-efficient one."""
    if bias is not None:
        return mix_by_efficient(queries, keys, values, bias)
    return torch.ops.aten._scaled_dot_product_flash_attention(queries, keys, values)[0]


def mix_by_efficient(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attend with the memory-efficient kernel, which every GPU has, for all dtypes that it computes in."""
    if bias is not None:
        bias = bias.expand(*queries.shape[:3], keys.shape[2])
    return torch.ops.aten._scaled_dot_product_efficient_attention(queries, keys, values, bias, False)[0]


def padded(length: int) -> int:
    """Return how long the rows of a bias are that is sliced to `length`."""
    return -(-length // ALIGNED) * ALIGNED
