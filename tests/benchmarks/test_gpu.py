"""`make gpu` before there is a GPU: every check runs on a CPU, and what it finds is kept whatever happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.bench import Bench, CheckFailed, NotHere

ROOT = Path(__file__).parents[2]
NEEDS_A_GPU = {"no_waiting", "second_device"}


def results(folder: Path) -> dict[str, Any]:
    (path,) = folder.iterdir()
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_dry_run_goes_through_every_check(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    assert gpu.main(["--dry", "--results", str(tmp_path)]) == 0
    told = results(tmp_path)
    status = {name: found["status"] for name, found in told["checks"].items()}
    assert list(status) == gpu.NAMES
    assert {name for name, said in status.items() if said == "not here"} == NEEDS_A_GPU
    assert {said for name, said in status.items() if name not in NEEDS_A_GPU} == {"ok"}
    assert told["device"] == "cpu" and told["machine"]["torch"] == torch.__version__
    assert set(told["checks"]["parity"]["same frames"].values()) == {20}
    assert told["checks"]["frame_time"]["1 rows, top-k 50"]["kernels_counted"] > 0
    assert torch.get_num_threads() == threads


def test_a_check_that_fails_does_not_stop_the_rest_and_each_is_kept_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def fails(bench: Bench) -> dict[str, Any]:
        raise CheckFailed("three is not four")

    def breaks(bench: Bench) -> dict[str, Any]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def is_elsewhere(bench: Bench) -> dict[str, Any]:
        raise NotHere("there is one device only")

    def looks(bench: Bench) -> dict[str, Any]:
        seen.append(list(results(tmp_path)["checks"]))
        return {"ms": 1.5}

    monkeypatch.setattr(gpu, "CHECKS", (fails, breaks, is_elsewhere, looks))
    assert gpu.main(["--dry", "--results", str(tmp_path)]) == 1
    found = results(tmp_path)["checks"]
    assert seen == [["fails", "breaks", "is_elsewhere"]]
    assert [check["status"] for check in found.values()] == ["failed", "failed", "not here", "ok"]
    assert found["fails"]["error"] == "CheckFailed: three is not four" and found["looks"]["ms"] == 1.5
    assert "illegal memory access" in found["breaks"]["error"] and found["breaks"]["where"]


def test_no_check_begins_when_the_time_is_spent(tmp_path: Path) -> None:
    assert gpu.main(["--dry", "--budget", "0", "--results", str(tmp_path)]) == 0
    assert {check["status"] for check in results(tmp_path)["checks"].values()} == {"skipped"}


def test_without_a_gpu_only_a_dry_run_is_possible(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--device", "cpu", "--results", str(tmp_path)]) == 2
    assert "DRY=1" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_dry_run_writes_where_git_does_not_look() -> None:
    told = subprocess.run(["git", "check-ignore", str(gpu.DRY_RESULTS)], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode in (0, 128), "128: not a git checkout"


def test_the_other_benchmarks_leave_the_gpu_alone() -> None:
    code = "from benchmarks.__main__ import NAMES; print('gpu' in NAMES, len(NAMES) > 5)"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "True"]


def test_make_gpu_runs_it() -> None:
    told = subprocess.run(
        ["make", "--no-print-directory", "-n", "gpu", "DRY=1"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "-m benchmarks.gpu --dry" in told.stdout
