"""Checkpoints in the layout of CSM's original code: other names, queries and keys in other order.

Source: `models.py` of SesameAILabs' csm and transformers' conversion script for it. The original code turns pairs of
neighbours, transformers turns halves, so the rows of query and key projections are in another order there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.config import THETA, ModelConfig, complete_config
from csm_plugin.model.fields import Fields
from csm_plugin.model.flavours import BACKBONES, DEPTHS, Flavour
from csm_plugin.model.mimi.config import CodecConfig
from csm_plugin.model.rope import Rope, separate_pairs
from csm_plugin.model.transformer import TransformerShape
from csm_plugin.model.weights import Stored, Tensors

POSITIONS = 2048
NORM_EPS = 1e-5
ROPE = Rope(THETA, "llama3", factor=32.0, low=1.0, high=4.0, original=8192.0)

MARK = "text_embeddings.weight"
"""A tensor that only this layout has."""

_OUTSIDE = {
    "embed_text_tokens.weight": MARK,
    "backbone_model.embed_tokens.embed_audio_tokens.weight": "audio_embeddings.weight",
    "depth_decoder.model.inputs_embeds_projector.weight": "projection.weight",
    "depth_decoder.codebooks_head.weight": "audio_head",
    "lm_head.weight": "codebook0_head.weight",
}
_PARTS = {"backbone_model.": "backbone.", "depth_decoder.model.": "decoder."}
_IN_PARTS = {
    "layers.N.self_attn.q_proj.weight": "layers.N.attn.q_proj.weight",
    "layers.N.self_attn.k_proj.weight": "layers.N.attn.k_proj.weight",
    "layers.N.self_attn.v_proj.weight": "layers.N.attn.v_proj.weight",
    "layers.N.self_attn.o_proj.weight": "layers.N.attn.output_proj.weight",
    "layers.N.mlp.gate_proj.weight": "layers.N.mlp.w1.weight",
    "layers.N.mlp.down_proj.weight": "layers.N.mlp.w2.weight",
    "layers.N.mlp.up_proj.weight": "layers.N.mlp.w3.weight",
    "layers.N.input_layernorm.weight": "layers.N.sa_norm.scale",
    "layers.N.post_attention_layernorm.weight": "layers.N.mlp_norm.scale",
    "norm.weight": "norm.scale",
}
_ORIGINAL = _OUTSIDE | {
    f"{theirs}{inner}": f"{ours}{outer}" for theirs, ours in _PARTS.items() for inner, outer in _IN_PARTS.items()
}
"""The original code's name of each tensor of transformers'; N is a layer's number."""
_TRANSFORMERS = {original: name for name, original in _ORIGINAL.items()}
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass(frozen=True, slots=True)
class HeadDims:
    """How wide the heads of both transformers are."""

    backbone: int
    depth: int


class OriginalTensors:
    """The tensors of a checkpoint in the original layout, in transformers' names and order.

    Args:
        files: the checkpoint's.
        dims: the widths of heads.
    """

    def __init__(self, files: Tensors, dims: HeadDims) -> None:
        self._files = files
        self._dims = dims

    def __contains__(self, name: str) -> bool:
        return _original(name) in self._files

    @property
    def names(self) -> list[str]:
        translated = (_translated(name, _TRANSFORMERS) for name in self._files.names)
        return sorted(name for name in translated if name is not None)

    def stored(self, name: str) -> Stored:
        """Return how a tensor is stored, without reading it.

        Raises:
            CheckpointFormatError: it is missing.
        """
        return self._files.stored(_original(name))

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor as stored, but for the order of queries and keys.

        Raises:
            CheckpointFormatError: it is missing, or not of the `shape` that the configuration demands.
        """
        tensor = self._files.get(_original(name), shape)
        if not name.endswith(("q_proj.weight", "k_proj.weight")):
            return tensor
        return separate_pairs(tensor, self._dims.backbone if name.startswith("backbone") else self._dims.depth)


def head_dims(fields: Fields, files: Tensors, given: tuple[int, int] | None) -> HeadDims:
    """Return how wide the heads are, which no tensor tells: as given, or as in the flavours.

    Flavours are known by the names that the configuration gives them or, where it gives none, by their sizes.

    Raises:
        CheckpointFormatError: a flavour is not known, and nothing is given.
    """
    if given is not None:
        return HeadDims(*given)
    return HeadDims(
        _head_dim(fields, files, "backbone", BACKBONES),
        _head_dim(fields, files, "decoder", DEPTHS),
    )


def read_original_config(fields: Fields, files: Tensors, codec: CodecConfig, dims: HeadDims) -> ModelConfig:
    """Return the configuration of a checkpoint in the original layout; its tensors tell the sizes.

    Args:
        fields: of `config.json`, which may be empty.
        files: the checkpoint's tensors, under their own names.

    Raises:
        CheckpointFormatError: a tensor is missing, or a field does not fit.
    """
    codebooks = fields.size("audio_num_codebooks", files.stored("audio_head").shape[0] + 1)
    return complete_config(
        fields,
        backbone=_shape(files, "backbone", dims.backbone, POSITIONS),
        depth=_shape(files, "decoder", dims.depth, codebooks + 1),
        codebooks=codebooks,
        vocabulary=fields.size("audio_vocab_size", files.stored("codebook0_head.weight").shape[0]),
        text_vocabulary=fields.size("text_vocab_size", files.stored(MARK).shape[0]),
        codec=replace(codec, num_quantizers=min(codebooks, codec.num_quantizers)),
    )


def _head_dim(fields: Fields, files: Tensors, part: str, flavours: Mapping[str, Flavour]) -> int:
    name = fields.raw.get(f"{part}_flavor")
    if name is None:
        fitting = (f for f in flavours.values() if f.is_of(_shape(files, part, f.head_dim, POSITIONS)))
    else:
        fitting = (flavour for known, flavour in flavours.items() if known == name)
    flavour = next(fitting, None)
    if flavour is None:
        named = f"the flavour {name!r}" if name is not None else "no flavour, and sizes of none"
        raise CheckpointFormatError(
            f"{fields.path} names {named} of the {part} that is known ({', '.join(flavours)}): the tensors tell its "
            "sizes, but not how wide a head is; pass head_dims=(backbone's, depth decoder's), such as (64, 128)"
        )
    return flavour.head_dim


def _shape(files: Tensors, part: str, head_dim: int, positions: int) -> TransformerShape:
    layers = {name.split(".")[2] for name in files.names if name.startswith(f"{part}.layers.")}
    first = f"{part}.layers.0"
    (queries, width), (keys, _) = (files.stored(f"{first}.attn.{kind}_proj.weight").shape for kind in "qk")
    mlp_width = files.stored(f"{first}.mlp.w1.weight").shape[0]
    heads, kv_heads = queries // head_dim, max(1, keys // head_dim)
    return TransformerShape(len(layers), width, heads, kv_heads, head_dim, mlp_width, positions, NORM_EPS, ROPE)


def _original(name: str) -> str:
    return _translated(name, _ORIGINAL) or name


def _translated(name: str, table: Mapping[str, str]) -> str | None:
    """Return a tensor's name on the other side, None if it has none there."""
    number = _NUMBER.search(name)
    found = table.get(_NUMBER.sub("N", name, count=1))
    return found if found is None or number is None else found.replace("N", number[0], 1)
