"""What this machine has, as far as speech needs to know. Torch is imported by the functions that need it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from csm_plugin.extras import EXTRAS, missing_modules

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "transformers", "safetensors", "huggingface-hub", "numpy", "soxr", "soundfile")
_PROBE_WIDTH = 8_192
_PROBE_ROWS = {"cpu": 8_192, "cuda": 65_536}
_PROBE_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Device:
    """A device that the engine can run on; memory in bytes."""

    name: str
    hardware: str
    memory: int
    free: int


def package_versions() -> dict[str, str | None]:
    """Give the version of each package that the engine stands on; None where one is missing."""
    return {name: _version(name) for name in PACKAGES}


def extras() -> dict[str, list[str]]:
    """Give the modules that each extra still lacks; none if it is installed."""
    return {extra: missing_modules(extra) for extra in EXTRAS}


def system() -> dict[str, str]:
    """Give the versions of Python and of the operating system."""
    return {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}


def cores() -> int:
    """Give the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def devices() -> list[Device]:
    """Give the devices, the one that `auto` means first."""
    import torch

    found = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, memory = torch.cuda.mem_get_info(index)
        found.append(Device(f"cuda:{index}", torch.cuda.get_device_name(index), memory, free))
    memory, free = _main_memory()
    return [*found, Device("cpu", f"{_processor()}, {cores()} cores", memory, free)]


def bytes_per_second(device: str, dtype: torch.dtype | None = None) -> float:
    """Measure how fast `device` reads weights: a matrix times a vector, the best of a few rounds.

    Args:
        dtype: of the weights; float32 on a CPU and bfloat16 elsewhere if None. One that is emulated is slow.
    """
    import torch

    rows = _PROBE_ROWS[torch.device(device).type]
    dtype = dtype or (torch.float32 if device == "cpu" else torch.bfloat16)
    with torch.inference_mode():
        weights = torch.ones(rows, _PROBE_WIDTH, dtype=dtype, device=device)
        vector = torch.ones(_PROBE_WIDTH, dtype=dtype, device=device)
        best_s = float("inf")
        for _ in range(_PROBE_ROUNDS):
            began = time.perf_counter()
            float((weights @ vector)[0])
            best_s = min(best_s, time.perf_counter() - began)
    return weights.numel() * weights.element_size() / best_s


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _main_memory() -> tuple[int, int]:
    """Total and available bytes; 0 where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        sizes = {name: int(rest.split()[0]) * 1_024 for name, _, rest in (line.partition(":") for line in lines)}
        return sizes["MemTotal"], sizes["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        pass
    if sys.platform == "win32":
        return 0, 0
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), 0
    except (OSError, ValueError):
        return 0, 0
