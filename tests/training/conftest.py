"""A small corpus, made once for all tests of training."""

from pathlib import Path

import pytest
import torch

from csm_plugin.training import corpus, files


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Toy models are faster on one thread."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the stages with one shard of half a minute."""
    folder = tmp_path_factory.mktemp("tiny")
    files.write_json(folder / "corpus" / "documents.json", ["The plan of the garden is in this letter."])
    corpus.write_shard(folder / "corpus", 0, seconds=30.0)
    return folder
