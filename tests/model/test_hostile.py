"""Files that lie, are broken, or are something else: refused in one line, from headers alone, with nothing fetched."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from csm_plugin.errors import CheckpointError, CheckpointFormatError, SettingsError
from csm_plugin.model import opened
from csm_plugin.model.csm import CSM
from csm_plugin.model.opened import OpenedCheckpoint, Parts, open_checkpoint
from csm_plugin.model.weight_files import IncompleteWeights
from csm_plugin.model.weights import WeightFiles
from csm_plugin.settings import Sampling
from tests.model.helpers import CPU
from tests.replicas.repositories import write_adapter, write_copy, write_mimi, write_original
from tests.replicas.tensors import SMALL

TINY = SMALL.with_layers(2, 1)
WEIGHTS = "model.safetensors"
HUGE = 10**400  # JSON can hold it, a float cannot
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in transformers' layout, one in the original one, and a codec."""
    folder = tmp_path_factory.mktemp("published")
    write_copy(folder / "copy", TINY)
    write_original(folder / "original", TINY)
    write_mimi(folder / "mimi", TINY)
    return folder


def opened_after(change: Change, kind: str, published: Path, to: Path, **parts: Any) -> OpenedCheckpoint:
    """Change a copy of a checkpoint, and open it."""
    folder = Path(shutil.copytree(published / kind, to / "changed"))
    change(folder)
    given = {"codec": published / "mimi"} if kind == "original" else {}
    return open_checkpoint(folder, Parts(**given | parts))


def with_field(name: str, value: object) -> Change:
    """Set a field of config.json; dots lead into its parts."""

    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        *places, last = name.split(".")
        holder = config
        for place in places:
            holder = holder[place]
        holder[last] = value
        (folder / "config.json").write_text(json.dumps(config))

    return change


def with_tensors(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Change:
    return lambda folder: save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)


def with_tensor(name: str, tensor: Tensor) -> Change:
    return with_tensors(lambda tensors: tensors | {name: tensor})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hidden_layers", HUGE),
        ("head_dim", 10**30),
        ("rms_norm_eps", HUGE),
        ("rope_theta", HUGE),
        ("rope_scaling.factor", HUGE),
        ("max_position_embeddings", 10**12),
        ("codec_config.norm_eps", HUGE),
        ("codec_config.sliding_window", 10**6),
        ("codec_config.upsampling_ratios", [HUGE]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_number_that_no_model_can_have_is_named(name: str, value: object, published: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointFormatError, match=f"config.json: .*{name.split('.')[-1]} .*is ") as caught:
        opened_after(with_field(name, value), "copy", published, tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("name", ["temperature", "depth_decoder_temperature"])
def test_a_temperature_that_no_float_holds_is_refused(name: str, published: Path, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        (folder / "generation_config.json").write_text(json.dumps({name: HUGE}))

    with pytest.raises(CheckpointFormatError, match=r"generation_config\.json: .*temperature is 1000"):
        opened_after(change, "copy", published, tmp_path)
    with pytest.raises(SettingsError, match="max_seconds is"):
        Sampling(max_seconds=HUGE)


def test_a_context_that_is_longer_than_a_stream_is_used_as_far_as_that(published: Path, tmp_path: Path) -> None:
    long = opened_after(with_field("max_position_embeddings", 10**9), "copy", published, tmp_path)
    assert long.config.backbone.positions == 4_096


@pytest.mark.parametrize(
    "change",
    [
        with_field("num_hidden_layers", 10**9),
        with_field("head_dim", 10**9),
        with_field("codec_config.num_hidden_layers", 10**9),
        with_tensor("codec_model.decoder.layers.14.conv.bias", torch.zeros(5)),
    ],
    ids=["layers without end", "wide heads", "a codec without end", "the last tensor of the codec"],
)
def test_what_does_not_fit_is_found_before_any_number_is_read(
    change: Change, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(opened, "QUICKLY_READ", 0)
    monkeypatch.setattr(WeightFiles, "get", lambda self, name, shape=None: read.append(name))
    tracemalloc.start()
    with pytest.raises(CheckpointFormatError, match=r"lacks the tensor|has shape"):
        opened_after(change, "copy", published, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read == [] and peak < 32 * 2**20


@pytest.mark.parametrize("name", ["num_hidden_layers", "head_dim", "codec_config.num_hidden_layers"])
def test_what_does_not_fit_a_small_checkpoint_is_found_before_memory_is_taken_for_it(
    name: str, published: Path, tmp_path: Path
) -> None:
    checkpoint = opened_after(with_field(name, 10**9), "copy", published, tmp_path)
    tracemalloc.start()
    with pytest.raises(CheckpointFormatError, match=r"lacks the tensor|has shape"):
        CSM(checkpoint, device=CPU, dtype=torch.float32, rows=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 2**20


@pytest.mark.parametrize("name", ["audio_head", "codebook0_head.weight", "text_embeddings.weight"])
@pytest.mark.parametrize("shape", [(), (0, 128, 67), (7,)], ids=str)
def test_a_tensor_of_the_original_layout_with_other_dimensions_is_named(
    name: str, shape: tuple[int, ...], published: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointFormatError, match=rf"model\.safetensors: tensor '{name}' has shape \("):
        opened_after(with_tensor(name, torch.zeros(shape)), "original", published, tmp_path)


@pytest.mark.parametrize("name", ["attn.q_proj", "attn.k_proj", "mlp.w1"])
def test_a_projection_that_is_no_matrix_is_named(name: str, published: Path, tmp_path: Path) -> None:
    change = with_tensor(f"backbone.layers.0.{name}.weight", torch.zeros(5))
    with pytest.raises(CheckpointFormatError, match=rf"'backbone\.layers\.0\.{name}\.weight' has shape \(5,\)"):
        opened_after(change, "original", published, tmp_path)


@pytest.mark.parametrize("dims", [(512, 128), (64, 10**12), (128, 128), (10, 10), (64, 100)], ids=str)
def test_heads_that_the_tensors_cannot_have_are_refused_with_the_option(
    dims: tuple[int, int], published: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointFormatError, match=r"queries and .* keys, which are no heads of .*; pass head_dims="):
        opened_after(lambda _: None, "original", published, tmp_path, head_dims=dims)


@pytest.mark.parametrize("dims", [5, 6.0, "64"], ids=repr)
def test_head_dims_that_are_no_pair_are_refused(dims: Any) -> None:
    with pytest.raises(SettingsError, match="two even whole numbers"):
        Parts(head_dims=dims)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
def test_what_training_puts_around_the_names_of_the_original_layout_goes(
    wrapper: str, published: Path, tmp_path: Path
) -> None:
    wrapped = opened_after(
        with_tensors(lambda tensors: {wrapper + name: tensor for name, tensor in tensors.items()}),
        "original", published, tmp_path,
    )  # fmt: skip
    plain = open_checkpoint(published / "original", Parts(codec=published / "mimi"))
    assert wrapped.layout == "original" and wrapped.tensors.names == plain.tensors.names
    heads = (CSM(one, device=CPU, dtype=torch.float32, rows=1).first_head for one in (wrapped, plain))
    assert torch.equal(*heads)


def not_asked(model: object, *, kind: str) -> Path:
    raise AssertionError(f"{kind} {model} is looked for")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model_type": "llama"}, "model_type 'llama'; only 'csm'"),
        ({"model_type": "mimi"}, "model_type 'mimi'; only 'csm'"),
        ({"model_type": "csm"}, "lacks the tensor 'embed_text_tokens.weight'"),
    ],
    ids=["a language model", "a codec", "another model that calls itself a CSM"],
)
def test_for_what_is_no_csm_no_codec_is_fetched(
    config: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "find_checkpoint", not_asked)
    save_file({"model.embed_tokens.weight": torch.ones(4, 4)}, tmp_path / WEIGHTS)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointFormatError, match=told):
        open_checkpoint(tmp_path)


def test_for_a_broken_model_no_tokenizer_is_fetched(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        with_field("intermediate_size", 7)(folder)

    monkeypatch.setattr(opened, "find_checkpoint", not_asked)
    with pytest.raises(CheckpointFormatError, match=r"gate_proj.weight' has shape"):
        opened_after(change, "copy", published, tmp_path)


def test_a_codec_of_which_a_part_is_missing_is_named(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def incomplete(model: object, *, kind: str) -> Path:
        raise IncompleteWeights("kyutai/mimi lacks the shard x", ("x",))

    monkeypatch.setattr(opened, "find_checkpoint", incomplete)
    with pytest.raises(CheckpointError, match=r"brings no codec, and kyutai/mimi cannot be had: .* lacks the shard x"):
        open_checkpoint(published / "original")


def test_an_adapter_given_as_the_model_is_told_how_to_be_used(tmp_path: Path) -> None:
    with pytest.raises(CheckpointFormatError, match=r"holds an adapter and no model; .* with adapter="):
        open_checkpoint(write_adapter(tmp_path, TINY))


DEPTH, BACKBONE = "depth_decoder.model.embed_tokens.weight", "backbone_model.embed_tokens.embed_audio_tokens.weight"


@pytest.mark.parametrize("missing", [DEPTH, BACKBONE])
def test_embeddings_that_are_not_shared_must_both_be_there(missing: str, published: Path, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        with_field("tie_codebooks_embeddings", False)(folder)
        with_tensors(lambda tensors: {name: tensors[name] for name in tensors if name != missing})(folder)

    with pytest.raises(CheckpointFormatError, match=f"lacks the tensor '{missing}'"):
        CSM(opened_after(change, "copy", published, tmp_path), device=CPU, dtype=torch.float32, rows=1)


def test_a_chat_template_that_is_no_text_is_named(published: Path, tmp_path: Path) -> None:
    checkpoint = opened_after(
        lambda folder: (folder / "chat_template.jinja").write_bytes(b"\xff\xfe"), "copy", published, tmp_path
    )
    with pytest.raises(CheckpointFormatError, match=r"chat_template\.jinja cannot be read as text"):
        checkpoint.read_tokenizer()


def test_a_tokenizer_with_few_tokens_and_large_ids_is_refused(published: Path, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        tokenizer["model"]["vocab"]["h"] = 99_999
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))

    checkpoint = opened_after(change, "copy", published, tmp_path)
    with pytest.raises(CheckpointFormatError, match=r"100,000 tokens, the model in .* knows 320"):
        checkpoint.read_tokenizer()
