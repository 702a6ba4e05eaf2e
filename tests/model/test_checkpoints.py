"""Checkpoints load in every published form, and what cannot be used is refused with words that help."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.csm import CSM
from csm_plugin.model.generation import Drawing
from csm_plugin.model.opened import open_checkpoint
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.model.tokenizer import SegmentTokenizer
from csm_plugin.settings import Sampling
from tests.model.helpers import CPU, Speaker, speak, text_positions, tokens_of

WEIGHTS = "model.safetensors"


def load(folder: Path) -> CSM:
    return CSM(folder, device=CPU, dtype=torch.float32, rows=1)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def test_a_sharded_checkpoint_speaks_as_the_same_in_one_file(folder: Path, tmp_path: Path) -> None:
    sharded = write_random_checkpoint(tmp_path / "sharded", max_shard_size="200KB")
    assert len(list(sharded.glob("*.safetensors"))) > 2
    one, other = load(folder), load(sharded)
    context = text_positions(one, tokens_of(folder))
    assert torch.equal(
        speak(Speaker.begin(one, 0, context), 5, top_k=1), speak(Speaker.begin(other, 0, context), 5, top_k=1)
    )


def test_weights_stored_in_half_precision_load_in_any(tmp_path: Path) -> None:
    folder = write_random_checkpoint(tmp_path, dtype=torch.bfloat16)
    assert load(folder).first_head.dtype == torch.float32
    assert CSM(folder, device=CPU, dtype=torch.bfloat16, rows=1).first_head.dtype == torch.bfloat16


def test_a_missing_config_is_named(copy: Path) -> None:
    (copy / "config.json").unlink()
    with pytest.raises(CheckpointFormatError, match=r"no config\.json; pass the folder"):
        load(copy)


def test_a_config_that_is_not_json_is_named(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointFormatError, match="cannot be read as JSON"):
        load(copy)


def test_missing_weights_are_named(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    with pytest.raises(CheckpointFormatError, match=r"holds no model\.safetensors"):
        load(copy)


class Canary:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_weights_are_refused_and_never_opened(copy: Path, tmp_path: Path) -> None:
    (copy / WEIGHTS).unlink()
    died = tmp_path / "died"
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(died)))
    with pytest.raises(CheckpointFormatError, match=r"pytorch_model\.bin.*never opened.*convert"):
        load(copy)
    assert not died.exists()


def test_a_pickle_named_as_safetensors_is_refused_and_never_executed(copy: Path, tmp_path: Path) -> None:
    died = tmp_path / "died"
    (copy / WEIGHTS).write_bytes(pickle.dumps(Canary(died)))
    with pytest.raises(CheckpointFormatError, match="not a readable safetensors file"):
        load(copy)
    assert not died.exists()


@pytest.mark.parametrize("kept", [0, 4, 1_000, -10])
def test_a_truncated_file_is_refused(copy: Path, kept: int) -> None:
    (copy / WEIGHTS).write_bytes((copy / WEIGHTS).read_bytes()[:kept])
    with pytest.raises(CheckpointFormatError, match="not a readable safetensors file"):
        load(copy)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_random_checkpoint(tmp_path, max_shard_size="200KB")
    gone = sorted(folder.glob("*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(CheckpointFormatError, match=f"lacks the shard {gone.name}"):
        load(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'])
def test_a_corrupt_index_is_refused(copy: Path, text: str) -> None:
    (copy / WEIGHTS).unlink()
    (copy / f"{WEIGHTS}.index.json").write_text(text)
    with pytest.raises(CheckpointFormatError, match="index"):
        load(copy)


def test_an_index_that_points_out_of_the_folder_is_refused(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    (copy / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": "../secret.safetensors"}}))
    with pytest.raises(CheckpointFormatError, match="plain file name"):
        load(copy)


def test_a_missing_tensor_is_named(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    del tensors["lm_head.weight"]
    save_file(tensors, copy / WEIGHTS)
    with pytest.raises(CheckpointFormatError, match=r"lacks the tensor 'lm_head\.weight'"):
        load(copy)


@pytest.mark.parametrize(
    "name",
    [
        "lm_head.weight",
        "depth_decoder.model.layers.0.mlp.up_proj.weight",
        "codec_model.upsample.conv.weight",
        "codec_model.decoder.layers.2.conv.weight",
        "codec_model.downsample.conv.weight",
    ],
)
def test_a_tensor_of_the_wrong_shape_is_named(copy: Path, name: str) -> None:
    tensors = load_file(copy / WEIGHTS)
    tensors[name] = tensors[name][:, :-1].contiguous()
    save_file(tensors, copy / WEIGHTS)
    with pytest.raises(CheckpointFormatError, match=f"'{name}' has shape"):
        load(copy)


def test_a_tensor_of_integers_is_named(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    tensors["lm_head.weight"] = tensors["lm_head.weight"].to(torch.int32)
    save_file(tensors, copy / WEIGHTS)
    with pytest.raises(CheckpointFormatError, match="floating point is needed"):
        load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(model_type="llama"), "model_type 'llama'; only 'csm'"),
        (lambda c: c.update(hidden_act="relu"), "hidden_act is 'relu'; only 'silu'"),
        (lambda c: c.update(attention_bias=True), "attention_bias is True"),
        (lambda c: c.update(num_hidden_layers=3), "lacks the tensor"),
        (lambda c: c.update(intermediate_size=96), "config.json says"),
        (lambda c: c.update(hidden_size=128), "depth_decoder_config.backbone_hidden_size is 64; only 128"),
        (lambda c: c.update(num_codebooks=7), "num_codebooks|num_quantizers|config.json says"),
        (lambda c: c["codec_config"].update(sampling_rate=16_000), "sampling_rate is 16000; only 24000"),
        (lambda c: c["codec_config"].update(use_causal_conv=False), "use_causal_conv is False"),
        (lambda c: c["depth_decoder_config"].update(hidden_act="gelu"), "depth_decoder_config.hidden_act is 'gelu'"),
        (lambda c: c.update(num_attention_heads="many"), "not a valid CSM configuration|many"),
    ],
)
def test_a_wrong_config_value_is_named(copy: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    rewrite(copy, change)
    with pytest.raises(CheckpointFormatError, match=message):
        load(copy)


def test_a_folder_without_a_tokenizer_is_refused(copy: Path) -> None:
    for path in copy.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(CheckpointFormatError, match="no usable tokenizer"):
        SegmentTokenizer(copy)


def test_special_tokens_in_a_text_stay_text(folder: Path) -> None:
    plain = SegmentTokenizer(folder).encode("hi <|end_of_text|>", 3)
    assert np.count_nonzero(plain == plain[-1]) == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [({"temperature": 0.6, "top_k": 20}, (0.6, 20)), ({}, (0.9, 50)), ({"temperature": 0}, (0, 1))],
)
def test_codes_are_drawn_as_the_checkpoint_says(
    copy: Path, said: dict[str, float], expected: tuple[float, int]
) -> None:
    (copy / "generation_config.json").write_text(json.dumps(said))
    config = open_checkpoint(copy).config

    assert config.generation.drawing(Sampling()) == Drawing(*expected, *expected)
    assert config.generation.drawing(Sampling(temperature=1.0, top_k=7)) == Drawing(1.0, 7, 1.0, 7)


def test_sampling_that_makes_no_sense_is_refused(copy: Path) -> None:
    (copy / "generation_config.json").write_text(json.dumps({"temperature": 9}))

    with pytest.raises(CheckpointFormatError, match=r"generation_config.json: temperature is 9; .* correct it"):
        open_checkpoint(copy)
