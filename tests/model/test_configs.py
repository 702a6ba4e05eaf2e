"""Configurations are read as transformers reads them, without transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CsmConfig, MimiConfig
from transformers.models.csm.modeling_csm import CsmRotaryEmbedding

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.config import ModelConfig, read_transformers_config
from csm_plugin.model.fields import Fields
from csm_plugin.model.mimi.config import CodecConfig, read_codec_config
from csm_plugin.model.original_layout import ROPE
from csm_plugin.model.rope import Rope
from tests.replicas import configs
from tests.replicas.tensors import Codec, Sizes

PATH = Path("config.json")


def read(config: dict[str, Any]) -> ModelConfig:
    return read_transformers_config(Fields(config, PATH))


def test_what_a_configuration_leaves_out_is_what_transformers_takes() -> None:
    ours, theirs = read({"model_type": "csm"}), CsmConfig(codec_config={"model_type": "mimi"})
    for shape, config in ((ours.backbone, theirs), (ours.depth, theirs.depth_decoder_config)):
        assert (shape.layers, shape.width, shape.heads, shape.kv_heads, shape.head_dim, shape.mlp_width) == (
            config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.num_key_value_heads,
            config.head_dim, config.intermediate_size,
        )  # fmt: skip
        assert (shape.positions, shape.norm_eps) == (config.max_position_embeddings, config.rms_norm_eps)
    assert (ours.codebooks, ours.vocabulary, ours.text_vocabulary) == (
        theirs.num_codebooks, theirs.vocab_size, theirs.text_vocab_size
    )  # fmt: skip


def test_what_a_codec_leaves_out_is_what_transformers_takes() -> None:
    ours, theirs = CodecConfig(), MimiConfig()
    for name in CodecConfig.__dataclass_fields__:
        if name not in ("rope", "upsampling_ratios"):
            assert getattr(ours, name) == getattr(theirs, name), name
    assert list(ours.upsampling_ratios) == theirs.upsampling_ratios
    assert ours.stride * 12.5 == theirs.encodec_frame_rate


def test_the_published_configuration_has_the_sizes_of_the_defaults() -> None:
    published, default = read(configs.csm_1b(Sizes())), read({"model_type": "csm"})
    assert published.codec == default.codec == read_codec_config(Fields(configs.mimi(Codec()), PATH))
    assert published.backbone.rope.kind == published.depth.rope.kind == "llama3"
    assert published.voice_style == "context" and not published.spaced


ROPES: list[dict[str, Any]] = [
    {"rope_theta": 500000},
    {"rope_theta": 10000.0, "rope_scaling": None},
    {"rope_theta": 500000, "rope_scaling": {"type": "linear", "factor": 4.0}},
    {name: configs.csm_1b(Sizes())[name] for name in ("rope_theta", "rope_scaling")},
    {name: configs.csm_1b(Sizes())["depth_decoder_config"][name] for name in ("rope_theta", "rope_scaling")},
]


@pytest.mark.parametrize("layout", ["old", "new"])
@pytest.mark.parametrize("rope", ROPES, ids=str)
def test_frequencies_are_those_of_transformers(rope: dict[str, Any], layout: str) -> None:
    config = CsmConfig(**json.loads(json.dumps(rope)), codec_config={"model_type": "mimi"})
    written = rope if layout == "old" else {"rope_parameters": config.rope_parameters}
    expected = CsmRotaryEmbedding(config).inv_freq
    assert torch.equal(Rope.of(written, 500_000.0).inverse_frequencies(64), expected)


def test_the_original_codes_positions_are_the_published_ones() -> None:
    published = read(configs.csm_1b(Sizes()))
    for shape in (published.backbone, published.depth):
        difference = ROPE.inverse_frequencies(shape.head_dim) - shape.rope.inverse_frequencies(shape.head_dim)
        assert difference.abs().max() < 1e-7


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "the rotary positions are of type 'yarn'; known are"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 2.0}}, "low_freq_factor of the rotary positions is None"),
        ({"rope_scaling": {"rope_type": "linear", "factor": -1}}, "factor of the rotary positions is -1; .* positive"),
        ({"rope_scaling": 7}, "the rotary positions are 7"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; it must be a whole number of at least 1"),
        ({"num_hidden_layers": 2.0}, "num_hidden_layers is 2.0"),
        ({"num_key_value_heads": 5}, "num_key_value_heads is 5; it must divide the 32 attention heads"),
        ({"head_dim": 63}, "head_dim is 63; it must be even"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps is 'small'; it must be a positive number"),
        ({"depth_decoder_config": []}, "depth_decoder_config is .*; it must be a mapping"),
        ({"codec_config": {"frame_rate": 25}}, "codec_config.frame_rate is 25; only 12.5"),
        ({"codec_config": {"upsampling_ratios": [8, 6, 5, 8]}}, "codec_config.upsampling_ratios is .* at least twice"),
        ({"codec_config": {"codebook_size": 4096}}, "vocab_size is 2051; the codec has 4096 codes"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointFormatError, match=f"^config.json: {message}"):
        read({"model_type": "csm"} | changed)


def test_opening_a_checkpoint_imports_nothing_of_transformers(tiny_checkpoint: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from csm_plugin.model.csm import CSM; import torch\n"
        f"CSM(Path({str(tiny_checkpoint)!r}), device=torch.device('cpu'), dtype=torch.float32, rows=1)\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'transformers'])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert told.stdout.strip() == "[]"


def test_of_two_layouts_of_rotary_positions_the_old_one_counts_as_in_transformers() -> None:
    both = {"rope_theta": 5e5, "rope_scaling": ROPES[2]["rope_scaling"], "rope_parameters": {"rope_theta": 1e4}}
    config = CsmConfig(**json.loads(json.dumps(both)), codec_config={"model_type": "mimi"})
    assert torch.equal(Rope.of(both, 5e5).inverse_frequencies(64), CsmRotaryEmbedding(config).inv_freq)


def test_a_small_checkpoint_is_opened_without_torchs_compiler(tiny_checkpoint: Path) -> None:
    """It takes a second to import, and nothing of it is needed."""
    code = (
        "import sys; from pathlib import Path; from csm_plugin.model.opened import open_checkpoint\n"
        f"open_checkpoint(Path({str(tiny_checkpoint)!r})); print('torch._dynamo' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert told.stdout.strip() == "False"
