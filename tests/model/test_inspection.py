"""What is told of a checkpoint is what loading it would find."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from csm_plugin.model.inspection import inspect_checkpoint
from csm_plugin.model.opened import Parts, open_checkpoint
from csm_plugin.model.weights import parameters
from tests.replicas.repositories import write_adapter, write_copy, write_mimi, write_original
from tests.replicas.tensors import MARVIS, SMALL

TINY = SMALL.with_layers(2, 1)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_copy(tmp_path_factory.mktemp("copy"), TINY)


@pytest.fixture(scope="module")
def mimi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mimi(tmp_path_factory.mktemp("mimi"), TINY)


def test_a_checkpoint_that_loads_has_no_problem(copy: Path, mimi: Path, tmp_path: Path) -> None:
    original = write_original(tmp_path, TINY)
    for folder, parts in ((copy, Parts()), (original, Parts(codec=mimi))):
        seen = inspect_checkpoint(folder, parts)
        assert seen.problem is None and not seen.missing and seen.fetched
        assert sum(seen.parameters.values()) == parameters(open_checkpoint(folder, parts).tensors)


def test_an_adapter_is_looked_at(copy: Path, tmp_path: Path) -> None:
    fitting, other = write_adapter(tmp_path / "a", TINY), write_adapter(tmp_path / "b", MARVIS)
    assert inspect_checkpoint(copy, Parts(adapter=fitting)).problem is None
    assert "the adapter is for another" in (inspect_checkpoint(copy, Parts(adapter=other)).problem or "")


def test_an_adapter_that_is_not_here_is_missing(copy: Path) -> None:
    assert inspect_checkpoint(copy, Parts(adapter="owner/adapter")).missing == ["the adapter, owner/adapter"]


@pytest.mark.parametrize("text", ["[]", "{}", '{"model": {}}'])
def test_a_tokenizer_that_is_none_is_a_problem(text: str, copy: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(copy, tmp_path / "copy"))
    (folder / "tokenizer.json").write_text(text)
    assert "holds no usable tokenizer" in (inspect_checkpoint(folder).problem or "")


def test_a_tokenizer_from_elsewhere_takes_the_place_of_the_models_own(copy: Path, mimi: Path) -> None:
    assert "holds no usable tokenizer" in (inspect_checkpoint(copy, Parts(tokenizer=mimi)).problem or "")


def test_a_codec_from_elsewhere_takes_the_place_of_the_models_own(copy: Path, mimi: Path) -> None:
    own, other = inspect_checkpoint(copy), inspect_checkpoint(copy, Parts(codec=mimi))
    assert own.parameters == other.parameters and own.needs == other.needs


def test_names_of_the_original_layout_are_told_as_they_are_in_the_file(mimi: Path, tmp_path: Path) -> None:
    folder = write_original(tmp_path, TINY)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"text_vocab_size": 320', '"text_vocab_size": 10'))
    assert "tensor 'text_embeddings.weight' has shape" in (inspect_checkpoint(folder, Parts(codec=mimi)).problem or "")
