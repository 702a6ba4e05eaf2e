"""Small checkpoints with random weights, and models of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from csm_plugin.model.csm import CSM
from csm_plugin.model.random_checkpoint import write_random_checkpoint


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are slower on several threads, by far where other processes want the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 8 codebooks."""
    return write_random_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="package")
def model(folder: Path) -> CSM:
    """A model of 8 rows, whose rows tests may overwrite as they like."""
    return CSM(folder, device=torch.device("cpu"), dtype=torch.float32, rows=8)
