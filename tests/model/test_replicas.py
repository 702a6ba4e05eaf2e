"""Every published form of a CSM loads as it lies on the hub, and says what transformers says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CsmForConditionalGeneration

from csm_plugin.errors import CheckpointError, CheckpointFormatError
from csm_plugin.model.csm import CSM
from csm_plugin.model.opened import OpenedCheckpoint, Parts, open_checkpoint
from csm_plugin.settings import Sampling
from tests.model.helpers import CPU, Speaker, speak, text_positions
from tests.replicas import configs
from tests.replicas.repositories import (
    write_adapter,
    write_copy,
    write_csm_1b,
    write_llama_tokenizer,
    write_marvis,
    write_mimi,
    write_original,
    write_reference,
    write_sparse,
)
from tests.replicas.tensors import MARVIS, SMALL, Codec, Part, Sizes, codec_shapes, original_shapes

FRAMES = 60
TEXT = "hello there, how are you today?"
SHORT = SMALL.with_layers(3, 2)
"""For the forms whose names do not depend on how many layers there are."""
MISO = Sizes(backbone=Part(32, 4096, 32, 8, 128, 14_336), depth=Part(8, 1536, 24, 6, 64, 6912))


def transformers_codes(folder: Path, tokens: np.ndarray, adapter: Path | None, frames: int) -> Tensor:
    """Return greedy codes [frames, codebooks] of transformers' own loading and generation."""
    model = CsmForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    codes = model.config.codec_config.codebook_size
    extra = list(range(codes, model.config.vocab_size))
    ids = torch.from_numpy(tokens.astype(np.int64))[None]
    with torch.no_grad():
        out = model.eval().generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=frames, do_sample=False,
            depth_decoder_do_sample=False, suppress_tokens=extra, depth_decoder_suppress_tokens=extra, pad_token_id=0,
        )  # fmt: skip
    return out[0]


def our_codes(opened: OpenedCheckpoint, frames: int = FRAMES) -> tuple[Tensor, np.ndarray]:
    """Return greedy codes [frames, codebooks], and the tokens that they follow."""
    model = CSM(opened, device=CPU, dtype=torch.float32, rows=1)
    tokens = opened.read_tokenizer().encode(TEXT, 0)
    return speak(Speaker.begin(model, 0, text_positions(model, tokens)), frames, top_k=1), tokens


def check_same(opened: OpenedCheckpoint, reference: Path, adapter: Path | None = None, frames: int = FRAMES) -> None:
    codes, tokens = our_codes(opened, frames)
    expected = transformers_codes(reference, tokens, adapter, frames)
    assert len(expected) == frames and len(expected.unique(dim=0)) > frames // 2, "the model is stuck"
    assert torch.equal(codes, expected)


@pytest.fixture(scope="module")
def mimi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mimi(tmp_path_factory.mktemp("mimi"), SHORT)


def test_sesame_csm_1b_loads_as_it_lies_on_the_hub(tmp_path: Path) -> None:
    folder = write_csm_1b(tmp_path, SMALL)
    opened = open_checkpoint(folder)
    assert opened.layout == "transformers" and len(opened.tensors.names) == 538
    check_same(opened, folder)


@pytest.mark.parametrize(
    "form",
    [{}, {"shards": True}, {"dtype": torch.bfloat16}, {"dtype": torch.float16}, {"tied": True}],
    ids=["one file", "numbered shards", "bfloat16", "float16", "tied embedding left out"],
)
def test_ungated_copies_load(form: dict[str, object], tmp_path: Path) -> None:
    folder = write_copy(tmp_path, SHORT, **form)  # type: ignore[arg-type]
    check_same(open_checkpoint(folder), folder)


def test_embeddings_that_are_not_shared_are_used_each_in_its_part(tmp_path: Path) -> None:
    folder = write_copy(tmp_path, SHORT)
    with_text("config.json", '"tie_codebooks_embeddings": true', '"tie_codebooks_embeddings": false')(folder)
    tensors, name = load_file(folder / "model.safetensors"), "depth_decoder.model.embed_tokens.weight"
    save_file(tensors | {name: tensors[name].flip(0).contiguous()}, folder / "model.safetensors")
    check_same(open_checkpoint(folder), folder, frames=20)


@pytest.mark.parametrize("own_tokenizer", [True, False], ids=["with a tokenizer", "without one"])
def test_the_original_layout_loads_with_codec_and_tokenizer_from_elsewhere(
    own_tokenizer: bool, mimi: Path, tmp_path: Path
) -> None:
    folder = write_original(tmp_path / "original", SHORT, tokenizer=own_tokenizer)
    reference = write_reference(tmp_path / "reference", SHORT)
    opened = open_checkpoint(folder, Parts(codec=mimi, tokenizer=None if own_tokenizer else reference))
    assert (
        opened.layout == "original" and len(opened.tensors.names) == len(load_file(reference / "model.safetensors")) - 1
    )
    check_same(opened, reference)


def test_the_original_layout_loads_beside_a_configuration_of_transformers(mimi: Path, tmp_path: Path) -> None:
    folder = write_csm_1b(tmp_path / "csm-1b", SHORT)
    reference = write_reference(tmp_path / "reference", SHORT)
    config = folder / "config.json"
    config.write_text(
        config.read_text().replace('"transformers_weights": "transformers.safetensors.index.json"', '"_": 0')
    )
    opened = open_checkpoint(folder, Parts(codec=mimi))
    assert opened.layout == "original"
    check_same(opened, reference)


def test_the_original_layout_loads_without_a_configuration_where_heads_are_given(mimi: Path, tmp_path: Path) -> None:
    folder = write_original(tmp_path / "original", SHORT)
    reference = write_reference(tmp_path / "reference", SHORT)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointFormatError, match=r"how wide a head is; pass head_dims=.*\(64, 128\)"):
        open_checkpoint(folder, Parts(codec=mimi))
    check_same(open_checkpoint(folder, Parts(codec=mimi, head_dims=(64, 128))), reference)


def test_marvis_loads_with_its_tokenizer_and_continues_voice_prompts(tmp_path: Path) -> None:
    folder = write_marvis(tmp_path / "marvis", MARVIS)
    opened = open_checkpoint(folder, Parts(codec=write_mimi(tmp_path / "mimi", MARVIS)))
    tokens = opened.read_tokenizer().encode(TEXT, 0)
    assert opened.layout == "original" and opened.config.voice_style == "continue"
    assert (tokens[0], tokens[-1]) == (1, 2) and 0 not in tokens
    check_same(opened, write_reference(tmp_path / "reference", MARVIS))


@pytest.mark.parametrize(
    ("changed", "frames"), [({}, FRAMES), ({"use_rslora": True}, 6), ({"alpha_pattern": {"q_proj": 32}}, 6)], ids=str
)
def test_an_adapter_is_merged_as_peft_merges_it(changed: dict[str, object], frames: int, tmp_path: Path) -> None:
    folder = write_copy(tmp_path / "base", SHORT)
    adapter = write_adapter(tmp_path / "adapter", SHORT, nested=True, **changed)
    opened = open_checkpoint(folder, Parts(adapter=adapter))
    assert not torch.equal(our_codes(opened, 6)[0], our_codes(open_checkpoint(folder), 6)[0])
    check_same(opened, folder, adapter, frames)


def test_an_adapter_with_the_codec_names_of_transformers_4_is_the_same(tmp_path: Path) -> None:
    folder = write_copy(tmp_path / "base", SHORT)
    old, new = (write_adapter(tmp_path / str(nested), SHORT, nested=nested) for nested in (False, True))
    old_codes, new_codes = (our_codes(open_checkpoint(folder, Parts(adapter=path)), 6)[0] for path in (old, new))
    assert torch.equal(old_codes, new_codes)


def test_an_adapter_is_merged_into_the_original_layout(mimi: Path, tmp_path: Path) -> None:
    folder = write_original(tmp_path / "original", SHORT)
    adapter = write_adapter(tmp_path / "adapter", SHORT, nested=True)
    opened = open_checkpoint(folder, Parts(codec=mimi, adapter=adapter))
    check_same(opened, write_reference(tmp_path / "reference", SHORT), adapter)


def test_the_depth_decoder_is_drawn_as_the_checkpoint_says(tmp_path: Path) -> None:
    said = configs.generation(SHORT) | {"temperature": 0.7, "depth_decoder_temperature": 0.3, "depth_decoder_top_k": 5}
    folder = write_copy(tmp_path, SHORT)
    (folder / "generation_config.json").write_text(json.dumps(said))
    config = open_checkpoint(folder).config
    assert config.generation.drawing(Sampling()).parts == ((0.7, 50), (0.3, 5))
    assert config.generation.drawing(Sampling(temperature=0)).parts == ((0.0, 1), (0.0, 1))
    assert config.generation.drawing(Sampling(depth_temperature=0)).parts == ((0.7, 50), (0.0, 1))


Change = Callable[[Path], object]


def without(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def of_another(name: str, other: str) -> Change:
    """Put another shard's content in the place of one."""
    return lambda folder: shutil.copy(folder / other, folder / name)


def with_text(name: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


FIRST, SECOND = (f"transformers-0000{number}-of-00002.safetensors" for number in (1, 2))
INDEX = "transformers.safetensors.index.json"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without(SECOND), f"lacks the shard {SECOND} that {INDEX} names"),
        (of_another(FIRST, SECOND), f"{FIRST} does not hold '.*', as {INDEX} says it does .*: the shard is of another"),
        (with_text("config.json", "num_codebooks\": 32", "num_codebooks\": 31"), "codebooks is 31; the codec has 32"),
        (with_text(INDEX, SECOND, f"../{SECOND}"), rf"{INDEX} names the shard '\.\./{SECOND}'"),
        (with_text("config.json", INDEX, f"../{INDEX}"), r"config.json names '\.\./.*' in transformers_weights"),
        (with_text("config.json", INDEX, "ckpt.pt"), r"config.json names 'ckpt.pt' in transformers_weights"),
        (without(INDEX), f"lacks {INDEX}, which config.json names"),
    ],
    ids="missing shard,another's shard,wrong codebooks,index points outside,weights outside,pickle,no index".split(","),
)  # fmt: skip
def test_a_wrong_twin_of_csm_1b_is_refused_in_one_line(change: Change, message: str, tmp_path: Path) -> None:
    folder = write_csm_1b(tmp_path, SHORT)
    change(folder)
    with pytest.raises(CheckpointFormatError, match=message) as caught:
        our_codes(open_checkpoint(folder))
    assert "\n" not in str(caught.value)


def test_a_wrong_twin_of_the_original_layout_is_refused(mimi: Path, tmp_path: Path) -> None:
    folder = write_original(tmp_path, SHORT)
    with_text("config.json", '"audio_num_codebooks": 32', '"audio_num_codebooks": 16')(folder)
    with pytest.raises(CheckpointFormatError, match=r"model.safetensors: tensor '.*' has shape .*, config.json says"):
        our_codes(open_checkpoint(folder, Parts(codec=mimi)))


def test_a_codec_that_cannot_be_had_is_named_with_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        CheckpointError, match=r"brings no codec, and kyutai/mimi cannot be had: .*; name another one: codec="
    ):
        open_checkpoint(write_original(tmp_path, SHORT))


def test_a_tokenizer_that_cannot_be_had_is_named_with_the_option(mimi: Path, tmp_path: Path) -> None:
    folder = write_original(tmp_path, SHORT, tokenizer=False)
    with pytest.raises(
        CheckpointError, match=r"brings no tokenizer, and meta-llama/Llama-3.2-1B cannot .*: tokenizer="
    ):
        open_checkpoint(folder, Parts(codec=mimi))


def test_an_adapter_for_another_base_is_named(tmp_path: Path) -> None:
    folder = write_copy(tmp_path / "base", SHORT)
    with pytest.raises(CheckpointFormatError, match=r"is for another model \(unsloth/csm-1b\)"):
        open_checkpoint(folder, Parts(adapter=write_adapter(tmp_path / "wide", MARVIS.with_layers(3, 2))))
    with pytest.raises(
        CheckpointFormatError, match=r"which this model does not have: .* another one \(unsloth/csm-1b\)"
    ):
        open_checkpoint(folder, Parts(adapter=write_adapter(tmp_path / "deep", SMALL)))


@pytest.mark.parametrize("changed", [{"use_dora": True}, {"bias": "all"}, {"peft_type": "IA3"}], ids=str)
def test_an_adapter_of_another_kind_is_refused(changed: dict[str, object], tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", SHORT, **changed)
    with pytest.raises(CheckpointFormatError, match=f"adapter_config.json: {next(iter(changed))} is "):
        open_checkpoint(write_copy(tmp_path / "base", SHORT), Parts(adapter=adapter))


def test_an_adapter_as_a_pickle_is_refused(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", SHORT)
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(CheckpointFormatError, match=r"holds adapter_model.bin and no adapter_model.safetensors"):
        open_checkpoint(write_copy(tmp_path / "base", SHORT), Parts(adapter=adapter))


def test_weights_in_mlx_form_are_refused(tmp_path: Path) -> None:
    folder = write_original(tmp_path, SHORT)
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {f"model.{n.replace('.attn.', '.self_attn.')}": t for n, t in tensors.items()}, folder / "model.safetensors"
    )
    with pytest.raises(CheckpointFormatError, match=r"in MLX's form .*take the repository that they were made from"):
        open_checkpoint(folder)


def test_a_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "csm-1b-q8_0.gguf").write_bytes(b"GGUF")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointFormatError, match=r"csm-1b-q8_0.gguf is a GGUF"):
        open_checkpoint(tmp_path)


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    save_file({"model.embed_tokens.weight": torch.ones(4, 4)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(CheckpointFormatError, match="model_type 'llama'; only 'csm'"):
        open_checkpoint(tmp_path)


def test_miso_is_known_by_its_sizes_where_it_has_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "mimi").mkdir()
    (tmp_path / "mimi" / "config.json").write_text(json.dumps(configs.mimi(Codec())))
    write_sparse(tmp_path / "mimi" / "model.safetensors", codec_shapes(Codec()), {"format": "pt"})
    write_sparse(tmp_path / "model.safetensors", original_shapes(MISO), None)
    write_llama_tokenizer(tmp_path, with_template=False)
    opened = open_checkpoint(tmp_path, Parts(codec=tmp_path / "mimi"))
    own = [opened.tensors.stored(name) for name in opened.tensors.names if not name.startswith("codec_model.")]
    assert (len(own), sum(one.parameters for one in own)) == (367, 8_188_122_112)
    assert opened.config.spaced and opened.config.voice_style == "context"
    assert (opened.config.backbone.heads, opened.config.depth.heads) == (32, 24)


@pytest.mark.parametrize("field", ["num_codebooks", "vocab_size"])
def test_a_wrong_twin_of_marvis_and_of_a_copy_is_refused_in_one_line(field: str, tmp_path: Path) -> None:
    mimi = write_mimi(tmp_path / "mimi", MARVIS)
    for folder in (write_marvis(tmp_path / "marvis", MARVIS), write_copy(tmp_path / "copy", SHORT)):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {field: config[field] - 1}))
        parts = Parts(codec=mimi) if folder.name == "marvis" else Parts()
        with pytest.raises(CheckpointFormatError, match=r"config\.json: .*(is|has) .*\d") as caught:
            our_codes(open_checkpoint(folder, parts), 1)
        assert "\n" not in str(caught.value)
