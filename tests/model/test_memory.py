"""Loading holds the weights once, in the dtype that is asked for, and little beside them."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

from csm_plugin.model import weights
from csm_plugin.model.csm import CSM
from csm_plugin.model.inspection import inspect_checkpoint
from csm_plugin.model.opened import open_checkpoint
from tests.model.helpers import CPU, Speaker, speak, text_positions
from tests.replicas.repositories import write_copy, write_sparse_csm_1b
from tests.replicas.tensors import SMALL

LOAD = """
import json, resource, sys, torch
from pathlib import Path
from csm_plugin.model.csm import CSM
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
torch.set_num_threads(1)
before = peak()
model = CSM(Path(sys.argv[1]), device=torch.device("cpu"), dtype=torch.bfloat16, rows=1)
print(json.dumps({"before": before, "peak": peak(), "row": model.bytes_per_row}))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_csm_1b_in_float32_shards_takes_its_bfloat16_weights_and_one_tensor(tmp_path: Path) -> None:
    folder = write_sparse_csm_1b(tmp_path)
    told = subprocess.run([sys.executable, "-c", LOAD, str(folder)], capture_output=True, text=True, check=True)
    found = json.loads(told.stdout)
    tensors = open_checkpoint(folder).tensors
    largest = max(4 * tensors.stored(name).parameters for name in tensors.names)
    allowed = inspect_checkpoint(folder).needs["bfloat16"].weights + found["row"] + largest
    taken = found["peak"] - found["before"]
    print(f"peak over the start {taken / 2**30:.2f} GiB, allowed {allowed / 2**30:.2f} GiB")
    assert taken <= allowed


def test_what_was_read_of_a_file_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_copy(tmp_path, SMALL.with_layers(2, 1), shards=True)
    opened, open_file = [0], weights.safe_open

    def counting(*arguments: object, **options: object) -> object:
        opened[0] += 1
        return open_file(*arguments, **options)

    monkeypatch.setattr(weights, "safe_open", counting)
    CSM(folder, device=CPU, dtype=torch.float32, rows=1)
    few = opened[0]
    monkeypatch.setattr(weights, "MAPPED_BYTES", 0)
    CSM(folder, device=CPU, dtype=torch.float32, rows=1)
    assert few < 20 < 100 < opened[0] - few, "each tensor is read through a mapping of its own then"


def test_a_model_that_has_spoken_goes_with_its_last_holder(tmp_path: Path) -> None:
    model = CSM(write_copy(tmp_path, SMALL), device=CPU, dtype=torch.float32, rows=1)
    speak(Speaker.begin(model, 0, text_positions(model, [3, 4, 5])), 2, top_k=1)
    parts = [weakref.ref(part) for part in (model, model.backbone, model.depth, model.cache)]
    gc.collect()
    gc.disable()
    try:
        del model
        assert [part() for part in parts] == [None] * 4, "a circle holds it until garbage is collected"
    finally:
        gc.enable()
