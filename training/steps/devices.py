"""Where training runs, and in what precision."""

import os
from contextlib import AbstractContextManager

import torch


def choose(name: str = "auto") -> torch.device:
    """`cpu`, `cuda`, or the best there is for `auto`; on a CPU, as many threads as this process may use.

    OMP_NUM_THREADS says otherwise, as usual.
    """
    device = torch.device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu" if name == "auto" else name)
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ and hasattr(os, "sched_getaffinity"):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    else:
        torch.set_float32_matmul_precision("high")
    return device


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where a matrix is multiplied; weights and losses stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16)
