"""A program may end while a model is being loaded in another of its threads."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from csm_plugin.engine.loading import stopped_at_exit
from csm_plugin.model.weights import WeightFiles

_ENDS_MEANWHILE = """
import sys, threading
import torch
from csm_plugin.engine import Engine
from csm_plugin.model.weights import WeightFiles

reading, read = threading.Event(), WeightFiles.get
work = torch.ones(1_500, 1_500)

def slowly(self, name, shape=None):
    reading.set()
    work @ work
    return read(self, name, shape)

WeightFiles.get = slowly
threading.Thread(target=Engine.load, args=(sys.argv[1],), daemon=True).start()
assert reading.wait(100)
"""


def test_a_program_that_ends_while_a_model_is_loaded_ends_as_others_do(tiny_checkpoint: Path) -> None:
    command = [sys.executable, "-c", _ENDS_MEANWHILE, str(tiny_checkpoint)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and "terminate" not in done.stderr, done.stderr


def test_at_the_end_the_tensor_at_hand_is_the_last(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks: list[Callable[[], None]] = []
    monkeypatch.setattr("atexit.register", hooks.append)
    files, read = WeightFiles.of(tiny_checkpoint, {}), threading.Semaphore(0)

    def load() -> None:
        with stopped_at_exit(files) as tensors:
            while True:
                assert tensors.get("lm_head.weight").numel() == tensors.stored("lm_head.weight").parameters
                read.release()

    threading.Thread(target=load, daemon=True).start()
    assert read.acquire(timeout=100)
    (end,) = hooks
    end()
    while read.acquire(blocking=False):
        pass
    end()
    assert not read.acquire(blocking=False)
