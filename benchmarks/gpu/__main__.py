"""What a GPU is asked first: `python -m benchmarks.gpu [--dry] [--device cuda:0] [--budget 420] [--only NAME ...]`.

Each check stands by itself: one that fails does not stop the rest. The results are written after each.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import basics, steps, whole
from benchmarks.gpu.bench import Bench, NotHere
from benchmarks.gpu.record import Record
from benchmarks.report import RESULTS
from csm_plugin.errors import SettingsError
from csm_plugin.model.devices import resolve_device

CHECKS: tuple[Callable[[Bench], dict[str, Any]], ...] = (
    basics.machine,
    basics.device_without_index,
    basics.parity,
    basics.load,
    steps.first_steps,
    steps.captures,
    steps.no_waiting,
    steps.frame_time,
    steps.kernels,
    whole.first_sound,
    whole.streams,
    basics.dtypes,
    basics.second_device,
)
"""In this order: what would spoil the rest comes first."""

NAMES = [check.__name__ for check in CHECKS]
BUDGET_S = 420.0
GRACE_S = 50.0
"""How long the last check may take beyond the budget; then the process ends and shows where it stood."""

DRY_RESULTS = Path("build/gpu")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks; return 1 if one failed."""
    options = _options(arguments)
    try:
        device = resolve_device("cpu" if options.dry else options.device)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    if device.type != "cuda" and not options.dry:
        print("there is no GPU; --dry (make gpu DRY=1) runs everything small on the CPU", file=sys.stderr)
        return 2
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "dry-cpu"
    results = options.results or (DRY_RESULTS if options.dry else RESULTS / "gpu")
    record = Record.within(results, str(device), name)
    bench = Bench(device, options.dry, options.csm)
    threads = torch.get_num_threads()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)  # of small tensors more are slower
    faulthandler.dump_traceback_later(options.budget + GRACE_S, exit=True)
    try:
        for check in CHECKS:
            if not options.only or check.__name__ in options.only:
                _run(check, bench, record, options.budget)
    finally:
        faulthandler.cancel_dump_traceback_later()
        torch.set_num_threads(threads)
        bench.clean_up()
    failed = [name for name, found in record.checks.items() if found["status"] == "failed"]
    print(f"\n{len(record.checks) - len(failed)} of {len(record.checks)} without a failure; raw: {record.path}")
    return int(bool(failed))


def _run(check: Callable[[Bench], dict[str, Any]], bench: Bench, record: Record, budget_s: float) -> None:
    """Run one check and keep what it found."""
    name = check.__name__
    if record.seconds > budget_s:
        record.add(name, "skipped", 0, why=f"the budget of {budget_s:g} s is spent")
        return
    began = time.monotonic()
    try:
        found = check(bench)
    except NotHere as reason:
        record.add(name, "not here", time.monotonic() - began, why=str(reason))
    except Exception as error:
        where = [line.strip() for line in traceback.format_exc().strip().splitlines()[-9:]]
        record.add(name, "failed", time.monotonic() - began, error=f"{type(error).__name__}: {error}", where=where)
        traceback.clear_frames(error.__traceback__)  # they hold models
    else:
        record.add(name, "ok", time.monotonic() - began, **found)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="everything small and on the CPU")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds; no check begins after them")
    parser.add_argument("--csm", type=Path, help="folder of a CSM-1B checkpoint; without it, random weights")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--results", type=Path, help="folder for the results")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
