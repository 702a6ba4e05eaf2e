"""A small corpus, made once for all tests of training, with codebooks for it."""

from pathlib import Path

import pytest
import torch

from training import files
from training.codec import codebooks, codes
from training.codec.codebooks import Coder
from training.codec.crops import CropSampler
from training.corpus import corpus

FRAMES = 8  # of a crop


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


@pytest.fixture(scope="session")
def coder(corpus_folder: Path) -> Coder:
    """Codebooks for that corpus."""
    codebooks.run(corpus_folder)
    return codebooks.load_coder(corpus_folder)


@pytest.fixture(scope="session")
def crops(corpus_folder: Path, coder: Coder) -> CropSampler:
    """Crops of that corpus."""
    place = codes.prepare(corpus_folder, coder, shards=1)
    return CropSampler(codes.coded(corpus_folder, place), coder.usual_hz, FRAMES)
