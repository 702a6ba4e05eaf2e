"""Which files hold the weights is told by names alone, and none of them leads out of the folder."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.weight_files import FileNames, IncompleteWeights, file_names, file_names_in

SHARDS = ("a-1.safetensors", "a-2.safetensors")
INDEX = json.dumps({"weight_map": {"x": SHARDS[1], "y": SHARDS[0], "z": SHARDS[0]}})


def chosen(names: Collection[str], index: str = INDEX, **config: object) -> FileNames:
    return file_names(config, names, lambda name: index, "there")


def test_what_the_configuration_names_comes_before_one_file_and_that_before_an_index() -> None:
    names = {"model.safetensors", "model.safetensors.index.json", "t.safetensors.index.json", *SHARDS}
    named = chosen(names, transformers_weights="t.safetensors.index.json")
    assert named == FileNames(SHARDS, "t.safetensors.index.json")
    assert chosen(names, transformers_weights=SHARDS[0]) == FileNames(SHARDS[:1])
    assert chosen(names) == FileNames(("model.safetensors",))
    assert chosen(names - {"model.safetensors"}) == FileNames(SHARDS, "model.safetensors.index.json")


def test_a_folder_is_read_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(INDEX)
    for name in SHARDS:
        (tmp_path / name).touch()
    assert file_names_in(tmp_path, {}) == FileNames(SHARDS, "model.safetensors.index.json")


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(IncompleteWeights, match=r"there lacks the shard a-2\.safetensors that model") as caught:
        chosen({"model.safetensors.index.json", SHARDS[0]})
    assert caught.value.missing == (SHARDS[1],)
    with pytest.raises(IncompleteWeights, match=r"lacks t\.safetensors, which config\.json names"):
        chosen({"model.safetensors"}, transformers_weights="t.safetensors")


@pytest.mark.parametrize("named", ["model.bin", "../x.safetensors", "/x.safetensors", "C:x.safetensors", "", 3, []])
def test_a_name_that_is_none_of_weights_is_refused(named: object) -> None:
    with pytest.raises(CheckpointFormatError, match="in transformers_weights; a plain file name that ends in"):
        chosen({"model.safetensors", str(named)}, transformers_weights=named)


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": {}}}', "[" * 100_000])
def test_an_index_that_is_none_is_refused(index: str) -> None:
    with pytest.raises(CheckpointFormatError, match=r"model\.safetensors\.index\.json is corrupt"):
        chosen({"model.safetensors.index.json"}, index)


def test_an_index_of_nothing_is_refused() -> None:
    with pytest.raises(CheckpointFormatError, match="names no shard at all"):
        chosen({"model.safetensors.index.json"}, '{"weight_map": {}}')


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ["pytorch_model.bin", "ckpt.pt"],
            r"ckpt\.pt, pytorch_model\.bin is in a format that can run code and is never",
        ),
        (["csm.Q8_0.gguf"], r"csm\.Q8_0\.gguf is a GGUF, for llama\.cpp"),
        (["weights.npz"], r"weights\.npz is made for MLX"),
        (["a.pt", "b.gguf"], r"a\.pt is in a format .*; b\.gguf is a GGUF"),
        (["b.safetensors", "a.safetensors"], r"a\.safetensors, b\.safetensors but no model\.safetensors"),
        ([f"{n}.pt" for n in range(6)], r"0\.pt, 1\.pt, 2\.pt, 3\.pt and 2 more is"),
        ([], r"holds no model\.safetensors and no model\.safetensors\.index\.json; convert the weights"),
    ],
)
def test_what_is_there_instead_is_named(names: list[str], told: str) -> None:
    with pytest.raises(CheckpointFormatError, match=told):
        chosen(names)


@given(st.text(max_size=30))
def test_no_index_leads_out_of_the_folder(name: str) -> None:
    shard = f"{name}.safetensors"
    index = json.dumps({"weight_map": {"x": shard}})
    try:
        files = chosen({"model.safetensors.index.json", shard}, index).files
    except CheckpointFormatError:
        return
    (file,) = files
    folder = Path("/checkpoint")
    assert (folder / file).resolve().is_relative_to(folder)
