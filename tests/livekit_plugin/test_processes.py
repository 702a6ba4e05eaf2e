"""Jobs that are processes share one engine: its weights are loaded once, in a server beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from csm_plugin.livekit.sidecar import Folder
from csm_plugin.model.random_checkpoint import write_random_checkpoint

WORKER = Path(__file__).parent / "process_worker.py"
ROOT = Path(__file__).parents[2]


def wait(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, timeout_s: float = 300.0) -> None:
    for _ in range(round(timeout_s / 0.1)):
        if holds():
            return
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"it did not come true; the worker said: {log.read_text()[-3000:]}")


@pytest.mark.timeout(600)
def test_two_jobs_share_one_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_random_checkpoint(tmp_path / "model", "small")
    monkeypatch.setenv("CSM_SIDECAR_DIR", str(tmp_path))
    environment = os.environ | {"CSM_MODEL": str(model), "PYTHONPATH": str(ROOT), "CSM_BASE_URL": ""}
    results, log = tmp_path / "results", tmp_path / "worker.log"
    results.mkdir()
    with log.open("wb") as out:
        worker = subprocess.Popen([sys.executable, WORKER, results], env=environment, stdout=out, stderr=out)
    try:
        wait(lambda: len(list(results.glob("*.json"))) == 2, worker, log)
        jobs = [json.loads(file.read_text()) for file in results.glob("*.json")]
        folder = Folder.of(str(model))
        address = folder.read()
        assert address is not None
        servers = [process for process in psutil.process_iter(["cmdline"]) if _serves(process, address.port)]
        weights_mib = (model / "model.safetensors").stat().st_size >> 20
        with capsys.disabled():
            print(f"\n  weights {weights_mib} MiB; server {servers[0].memory_info().rss >> 20} MiB")
            for job in jobs:
                print(f"  job {job['pid']}: {job['mib_before']} MiB before the engine, {job['mib']} MiB after")
        assert len({job["pid"] for job in jobs}) == 2 and all(job["seconds"] > 1 for job in jobs)
        assert not any(job["torch"] for job in jobs)
        assert len(servers) == 1 and folder.log.read_text().count("model loaded") == 1
    finally:
        (results / "done").touch()
        assert worker.wait(120) == 0
        for process in psutil.process_iter(["cmdline"]):
            if str(tmp_path) in " ".join(process.info["cmdline"] or []):
                process.terminate()


def _serves(process: psutil.Process, port: int) -> bool:
    command = process.info["cmdline"] or []
    return "serve" in command and str(port) in command
