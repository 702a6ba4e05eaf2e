"""Does a model of CSM-1B's size load, speak and fit, and how fast is it next to transformers' `generate`?

Random bfloat16 weights, written to a temporary folder (3.9 GB). Both sides make the same frames in turns; neither
decodes them, because transformers' codec would add to its side alone; this package's time with its codec is given too.
Then the time from 30 new text positions to the first frame's sound, behind an empty cache and one of 1,500 positions.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.reference import NoCodec, Ours, Reference, reply
from benchmarks.report import percentiles, report, time_ms
from csm_plugin.model.csm import CSM
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.settings import FRAME_S

GIB = 2**30
NEEDED_GIB = 12
ROWS = 2
HELD = 1_500
FRAMES = 4
ROUNDS = 3


def main() -> None:
    free = _kib("/proc/meminfo", "MemAvailable") * 1024
    if free < NEEDED_GIB * GIB:
        sys.exit(f"{free / GIB:.1f} GiB of memory are free; {NEEDED_GIB} are needed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_random_checkpoint(folder, "csm-1b", dtype=torch.bfloat16)
        gc.collect()
        before = _resident_kib()
        start = time.perf_counter()
        model = CSM(folder, device=torch.device("cpu"), dtype=torch.bfloat16, rows=ROWS)
        load_s = time.perf_counter() - start
        ours = Ours(model, folder, 1)
        ours.speak(1)
        held = _held_bytes()
        resident = {kind: (kib - before[kind]) * 1024 for kind, kib in _resident_kib().items()}
        mimi = model.mimi
        reference = Reference(folder, torch.bfloat16)
        reference.speak(1, codec=False)
        times: dict[str, list[float]] = {"transformers": [], "this package": [], "this package, with the codec": []}
        print("measuring", flush=True)
        for _ in range(ROUNDS):
            times["transformers"].append(time_ms(lambda: reference.speak(FRAMES, codec=False)))
            model.mimi = NoCodec(mimi.frame_samples)  # type: ignore[assignment]
            times["this package"].append(time_ms(lambda: ours.speak(FRAMES)))
            model.mimi = mimi
            times["this package, with the codec"].append(time_ms(lambda: ours.speak(FRAMES)))
        with torch.inference_mode():
            model.cache.data[:, 1, :HELD].normal_()
        text = np.concatenate([ours.inputs] * 4)[:30]
        first: dict[str, list[float]] = {"empty": [], "1,500 held": []}
        for _ in range(ROUNDS):
            first["empty"].append(time_ms(lambda: reply(model, 0, 0, text)))
            first["1,500 held"].append(time_ms(lambda: reply(model, 1, HELD, text)))
    rtf = {side: [round(ms / 1000 / FRAMES / FRAME_S, 3) for ms in values] for side, values in times.items()}
    caches = ROWS * model.bytes_per_row
    figures = {
        "RTF": {side: percentiles(values) for side, values in rtf.items()},
        "times as fast": round(percentiles(rtf["transformers"])["p50"] / percentiles(rtf["this package"])["p50"], 2),
        "ms to the first chunk": {side: percentiles(values) for side, values in first.items()},
        "1,500 held / empty": round(percentiles(first["1,500 held"])["p50"] / percentiles(first["empty"])["p50"], 3),
        "load_s": round(load_s, 1),
        "weights_gib": round((held - caches) / GIB, 3),
        "caches_gib": round(caches / GIB, 3),
        "resident_gib": {kind: round(size / GIB, 3) for kind, size in resident.items()},
        "resident / (weights + caches)": round(sum(resident.values()) / held, 3),
        "mib a conversation": round(model.bytes_per_row / 2**20, 1),
    }
    report("full_size", __doc__.splitlines()[0], "1 frame of each side", figures, {"rtf": rtf, "first_ms": first})


def _held_bytes() -> int:
    """Return the size of all tensors that live."""
    storages = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor):
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def _resident_kib() -> dict[str, int]:
    """Return the process's memory of its own and that of mapped files."""
    return {kind: _kib("/proc/self/status", kind) for kind in ("RssAnon", "RssFile")}


def _kib(path: str, name: str) -> int:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


if __name__ == "__main__":
    main()
