"""What every benchmark says about itself: the machine, the commit, the percentiles; and its raw JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what a figure depends on besides the code."""
    cores = [
        line.split(":")[1].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")
    ]
    return {
        "cpu": cores[0] if cores else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "load_at_start": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def commit() -> str:
    """Return the commit, with `+` behind it where the model or the benchmarks have changed since."""
    where = Path(__file__).parent.parent
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=where)
    paths = ["csm_plugin/model", "benchmarks/*.py"]
    changed = subprocess.run(["git", "status", "--porcelain", *paths], capture_output=True, text=True, cwd=where)
    return told.stdout.strip() + ("+" if changed.stdout.strip() else "")


def time_ms(work: Callable[[], object]) -> float:
    """Return how long one call takes, in milliseconds."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1000


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50 and p95."""
    return {"p50": round(float(np.percentile(values, 50)), 3), "p95": round(float(np.percentile(values, 95)), 3)}


def report(name: str, question: str, warm_up: str, figures: dict[str, Any], raw: dict[str, Any]) -> None:
    """Print the figures and write them with the raw numbers to `results/<name>.json`."""
    about = {"benchmark": name, "question": question, "commit": commit(), "machine": machine(), "warm_up": warm_up}
    print(f"\n{question}")
    for key in ("commit", "machine", "warm_up"):
        print(f"  {key}: {about[key]}")
    for key, value in figures.items():
        print(f"  {key}: {value}")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(about | {"figures": figures, "raw": raw}, indent=1) + "\n", encoding="utf-8")
    print(f"  raw: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
