"""What the checks share: the device, the models on it, rows that speak."""

from __future__ import annotations

import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from csm_plugin.model.csm import CSM, Frames
from csm_plugin.model.devices import auto_dtype
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.settings import TEXT, Sampling

PROMPT = 31  # positions
MAX_FRAMES = 200
FAST_DISK = Path("/dev/shm")
WANTED_BYTES = 8 * 2**30
GREEDY, DRAWN = Sampling(temperature=0), Sampling(temperature=0.9, top_k=50)


class CheckFailed(Exception):
    """A check found something else than it should."""


class NotHere(Exception):
    """A check needs what this machine does not have."""


def require(holds: bool, otherwise: str) -> None:
    """Fail the check unless something holds."""
    if not holds:
        raise CheckFailed(otherwise)


@dataclass
class Bench:
    """The device under test.

    Args:
        dry: everything small, so that all of it runs on a CPU in a moment.
        folder: a checkpoint of CSM-1B; without one, its shapes with random weights are written.
    """

    device: torch.device
    dry: bool
    folder: Path | None = None
    _scratch: Path | None = None
    _models: dict[tuple[Path, torch.dtype, int], CSM] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def rows(self) -> int:
        """How many conversations the large model holds."""
        return 4 if self.dry else 32

    @property
    def tries(self) -> int:
        """How often something short is timed."""
        return 3 if self.dry else 20

    @property
    def dtype(self) -> torch.dtype:
        """What "auto" means for the large model."""
        return torch.bfloat16 if not self.on_gpu else auto_dtype(1_500_000_000, self.device)

    @property
    def large(self) -> Path:
        """The checkpoint of CSM-1B's size; a small one in a dry run."""
        if self.folder is None:
            size = "tiny" if self.dry else "csm-1b"
            self.folder = write_random_checkpoint(self.scratch / size, size, dtype=torch.bfloat16)
        return self.folder

    @property
    def scratch(self) -> Path:
        if self._scratch is None:
            shm = FAST_DISK.is_dir() and shutil.disk_usage(FAST_DISK).free > WANTED_BYTES
            self._scratch = Path(tempfile.mkdtemp(prefix="csm-gpu-", dir=FAST_DISK if shm else None))
        return self._scratch

    def model(self) -> CSM:
        """Return the large model, loaded at its first use."""
        key = (self.large, self.dtype, self.rows)
        if key not in self._models:
            self._models[key] = CSM(self.large, device=self.device, dtype=self.dtype, rows=self.rows)
        return self._models[key]

    def forget(self) -> None:
        """Let go of the models and their memory."""
        self._models.clear()
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()

    def clean_up(self) -> None:
        """Remove what was written."""
        self.forget()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def sync(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def median_ms(self, work: Callable[[], object], tries: int | None = None) -> float:
        """Return how long a call takes with what it starts on the device."""
        times = []
        for _ in range(tries or self.tries):
            self.sync()
            began = time.perf_counter()
            work()
            self.sync()
            times.append((time.perf_counter() - began) * 1_000)
        return round(statistics.median(times), 3)

    def used_mib(self) -> int:
        """Return how much of the device's memory is taken, by whomever."""
        if not self.on_gpu:
            return 0
        free, all_of_it = torch.cuda.mem_get_info(self.device)
        return (all_of_it - free) >> 20


def begin(model: CSM, row: int, sampling: Sampling = DRAWN, seed: int = 1) -> None:
    """Make a row live behind a short text."""
    text = np.full((PROMPT, 1 + model.config.codebooks), TEXT, np.int32)
    text[:, 0] = 1 + np.arange(PROMPT) % 40
    model.prefill(row, 0, text[:-1])
    model.begin(row, PROMPT - 1, text[-1:], sampling, seed, MAX_FRAMES)


def speak(model: CSM, step: Callable[[int], Frames], frames: int, sampling: Sampling = DRAWN) -> list[list[int]]:
    """Speak in row 0 and return the codes of each frame.

    Args:
        step: makes a frame of row 0, given the positions before it.
    """
    begin(model, 0, sampling)
    made: list[list[int]] = []
    for number in range(frames):
        frame = step(PROMPT - 1 + number)
        require(bool(frame.finite.all()), f"frame {number} is not finite")
        made.append(frame.codes[0].tolist())
    return made


def ranks_of(sampling: Sampling) -> int:
    return 1 if sampling.temperature == 0 else 50


def same_frames(one: list[list[int]], other: list[list[int]]) -> int:
    """Return how many frames are the same from the start."""
    pairs = enumerate(zip(one, other, strict=True))
    return next((number for number, (a, b) in pairs if a != b), len(one))
