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

MARK, TRANSFORMERS_MARK = "text_embeddings.weight", "embed_text_tokens.weight"
"""A tensor that only this layout has, and what transformers calls it."""

WRAPPERS = ("module.", "_orig_mod.")
"""What torch puts before all names when the model that is saved was in parallel training, or compiled."""

_OUTSIDE = {
    TRANSFORMERS_MARK: MARK,
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


class Unwrapped:
    """Tensors of which all names begin with the same words, without these.

    Args:
        files: the tensors as they are named in the files.
        prefix: what goes.
    """

    def __init__(self, files: Tensors, prefix: str) -> None:
        self._files = files
        self._prefix = prefix

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._files

    @property
    def names(self) -> list[str]:
        return [name.removeprefix(self._prefix) for name in self._files.names if name.startswith(self._prefix)]

    def stored(self, name: str) -> Stored:
        """Return how a tensor is stored, without reading it.

        Raises:
            CheckpointFormatError: it is missing.
        """
        return self._files.stored(self._prefix + name)

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor as stored.

        Raises:
            CheckpointFormatError: it is missing, or not of the `shape` that the configuration demands.
        """
        return self._files.get(self._prefix + name, shape)


def as_original(files: Tensors) -> Tensors:
    """Return tensors in the original layout without what training put around their names; others as they are."""
    return next((Unwrapped(files, wrapper) for wrapper in WRAPPERS if wrapper + MARK in files), files)


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
    codebooks = fields.size("audio_num_codebooks", _sizes(files, "audio_head", 3)[0] + 1)
    _check_heads(files, "backbone", dims.backbone)
    _check_heads(files, "decoder", dims.depth)
    return complete_config(
        fields,
        backbone=_shape(files, "backbone", dims.backbone, POSITIONS),
        depth=_shape(files, "decoder", dims.depth, codebooks + 1),
        codebooks=codebooks,
        vocabulary=fields.size("audio_vocab_size", _sizes(files, "codebook0_head.weight", 2)[0]),
        text_vocabulary=fields.size("text_vocab_size", _sizes(files, MARK, 2)[0]),
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
    (queries, width), (keys, _) = (_sizes(files, f"{first}.attn.{kind}_proj.weight", 2) for kind in "qk")
    mlp_width, _ = _sizes(files, f"{first}.mlp.w1.weight", 2)
    heads, kv_heads = queries // head_dim, max(1, keys // head_dim)
    return TransformerShape(len(layers), width, heads, kv_heads, head_dim, mlp_width, positions, NORM_EPS, ROPE)


def _sizes(files: Tensors, name: str, dimensions: int) -> tuple[int, ...]:
    """Return a tensor's shape.

    Raises:
        CheckpointFormatError: it is missing, empty, or has another number of dimensions.
    """
    stored = files.stored(name)
    if len(stored.shape) != dimensions or 0 in stored.shape:
        raise CheckpointFormatError(
            f"{stored.path}: tensor {name!r} has shape {stored.shape}; {dimensions} dimensions above 0 are needed"
        )
    return stored.shape


def _check_heads(files: Tensors, part: str, head_dim: int) -> None:
    """Make sure that queries and keys are whole heads.

    Raises:
        CheckpointFormatError: they are not.
    """
    name = f"{part}.layers.0.attn.{{}}_proj.weight"
    queries, keys = (_sizes(files, name.format(kind), 2)[0] for kind in "qk")
    if queries % head_dim or keys % head_dim or queries % keys:
        raise CheckpointFormatError(
            f"{files.stored(name.format('q')).path}: the {part} has {queries} queries and {keys} keys, which are no "
            f"heads of {head_dim}; pass head_dims=(backbone's, depth decoder's), such as (64, 128)"
        )


def _original(name: str) -> str:
    return _translated(name, _ORIGINAL) or name


def _translated(name: str, table: Mapping[str, str]) -> str | None:
    """Return a tensor's name on the other side, None if it has none there."""
    number = _NUMBER.search(name)
    found = table.get(_NUMBER.sub("N", name, count=1))
    return found if found is None or number is None else found.replace("N", number[0], 1)
