"""Where a model runs and in which precision, and how numbers get there without a wait."""

from __future__ import annotations

import numpy as np
import torch
from loguru import logger
from torch import Tensor

from csm_plugin.errors import SettingsError
from csm_plugin.settings import ALLOWED_DEVICES

SMALL_PARAMETERS = 200_000_000
BFLOAT16_FROM = (8, 0)
"""Compute capability from which a GPU computes in bfloat16. Below, it is emulated, and `torch.cuda.is_bf16_supported()`
says yes all the same."""

FUSED_NORM_FROM = (2, 9)
"""The torch from which RMSNorm is one kernel on a GPU."""


def resolve_device(name: str) -> torch.device:
    """Return the device of a name, a GPU with its number: threads that make it theirs need one.

    Args:
        name: "auto" (the first GPU if there is one), "cpu", "cuda" (the current GPU), "cuda:1".

    Raises:
        SettingsError: there is no such device here, or the engine cannot run on it.
    """
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        where = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise SettingsError(f"device is {name!r}, which is none ({_first_line(error)}); {ALLOWED_DEVICES}") from error
    if where.type == "cpu":
        return torch.device("cpu")
    if where.type != "cuda":
        raise SettingsError(
            f"device is {name!r}, on which the engine cannot run: its frames come to the host by CUDA's streams and "
            f"events, and nothing else is tested; {ALLOWED_DEVICES}; here 'cpu' works"
        )
    try:
        if ":" not in name:
            where = torch.device("cuda", torch.cuda.current_device())
        _try(where)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device is {name!r}, which this machine cannot use ({_first_line(error)}); {ALLOWED_DEVICES}"
        ) from error
    if torch.version.hip is None and _torch_version() < FUSED_NORM_FROM:
        logger.warning("this torch takes about twice the kernels a frame on a GPU; 2.9 or newer is advised",
                       torch=torch.__version__)  # fmt: skip
    return where


def auto_dtype(parameters: int, device: torch.device) -> torch.dtype:
    """Return the precision for a model of so many parameters: float32 for a small one on a CPU, else 16 bits.

    On a GPU below compute capability 8.0 (T4, V100) these are float16's, whose range ends at 65,504. CSM's own values
    there are not measured. Its backbone is a Llama 3.2, which is widely run in float16; keys, scores and norms are
    small here or computed in float32, so what could grow too large is the residual stream. An overflow would show as a
    frame that is not finite, which ends the utterance with an error: dtype="float32" is the way out.
    """
    if device.type == "cpu":
        return torch.float32 if parameters < SMALL_PARAMETERS else torch.bfloat16
    if torch.version.hip is None and torch.cuda.get_device_capability(device) < BFLOAT16_FROM:
        return torch.float16
    return torch.bfloat16


def send(numbers: np.ndarray, device: torch.device | str) -> Tensor:
    """Copy numbers to a device, to a GPU through pinned memory: otherwise the host would wait for what runs there."""
    tensor = torch.from_numpy(numbers)
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _try(device: torch.device) -> None:
    """Run a kernel: a GPU that this build of torch has no kernels for is there and cannot be used."""
    torch.ones(1, device=device)


def _torch_version() -> tuple[int, ...]:
    return tuple(int(part) for part in torch.__version__.split(".")[:2])


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
