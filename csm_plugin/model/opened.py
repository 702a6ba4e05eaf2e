"""A checkpoint as it lies in its folder, ready to be read: its layout, sizes, tensors and tokenizer."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from csm_plugin.errors import CheckpointError, CheckpointFormatError, SettingsError
from csm_plugin.model.adapter import CONFIG as ADAPTER_CONFIG
from csm_plugin.model.adapter import AdaptedTensors
from csm_plugin.model.checkpoint import find_checkpoint
from csm_plugin.model.config import ModelConfig, read_transformers_config
from csm_plugin.model.fields import Fields, read_json
from csm_plugin.model.headers import build_skeleton
from csm_plugin.model.hub import Kind
from csm_plugin.model.known import CODEC as CODEC_ID
from csm_plugin.model.known import TOKENIZER as TOKENIZER_ID
from csm_plugin.model.known import Layout
from csm_plugin.model.mimi.config import CodecConfig, read_codec_config
from csm_plugin.model.original_layout import (
    MARK,
    TRANSFORMERS_MARK,
    HeadDims,
    OriginalTensors,
    as_original,
    head_dims,
    read_original_config,
)
from csm_plugin.model.tokenizer import FILE as TOKENIZER_FILE
from csm_plugin.model.tokenizer import SegmentTokenizer
from csm_plugin.model.weight_files import SINGLE
from csm_plugin.model.weights import CODEC, Tensors, WeightFiles, WithCodec, parameters

MODEL_TYPES = ("csm", "marvis", "sesame")
"""What a configuration with transformers' fields may call itself."""
_MLX = re.compile(r"(model\.)?(backbone|decoder)\.layers\.\d+\.self_attn\..+|.+\.scales")


QUICKLY_READ = 100_000_000
"""Parameters that are read sooner than torch is ready to build a model without numbers, which takes it a second."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a checkpoint is completed with.

    Args:
        adapter: folder or hub id of a LoRA adapter that is merged into the weights.
        codec: folder or hub id of the codec, in place of the checkpoint's own.
        tokenizer: folder or hub id of the tokenizer, in place of the checkpoint's own.
        head_dims: how wide the heads of backbone and depth decoder are, for a flavour of the original code that is not
            known.

    Raises:
        SettingsError: `head_dims` is not two even numbers.
    """

    adapter: str | Path | None = None
    codec: str | Path | None = None
    tokenizer: str | Path | None = None
    head_dims: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        dims = self.head_dims
        if dims is not None and not _are_widths(dims):
            raise SettingsError(f"head_dims is {dims!r}; it must be two even whole numbers, such as (64, 128)")


def _are_widths(dims: object) -> bool:
    return (
        isinstance(dims, tuple | list)
        and len(dims) == 2
        and all(type(d) is int and d >= 2 and d % 2 == 0 for d in dims)
    )


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint of which nothing but configuration and headers was read yet.

    Args:
        tensors: under transformers' names, with the codec's and what an adapter adds.
        tokenizer: the folder that holds it.
    """

    folder: Path
    layout: Layout
    config: ModelConfig
    tensors: Tensors
    tokenizer: Path

    def read_tokenizer(self) -> SegmentTokenizer:
        """Return the tokenizer of the model's segments.

        Raises:
            CheckpointFormatError: it is unreadable, or has tokens that the model has no embedding for.
        """
        tokenizer = SegmentTokenizer(self.tokenizer, spaced=self.config.spaced)
        if tokenizer.vocabulary > self.config.text_vocabulary:
            raise CheckpointFormatError(
                f"the tokenizer in {self.tokenizer} has {tokenizer.vocabulary:,} tokens, the model in {self.folder} "
                f"knows {self.config.text_vocabulary:,}; pass the model's own tokenizer"
            )
        return tokenizer


def open_checkpoint(folder: Path, parts: Parts | None = None) -> OpenedCheckpoint:
    """Open a checkpoint. Blocks, and may fetch a codec, a tokenizer and an adapter from the hub.

    Raises:
        CheckpointError: a file is missing, unreadable, not a CSM's, or of a shape that is not supported; or what it is
            to be completed with cannot be had.
    """
    given = parts or Parts()
    fields = read_fields(folder)
    files = as_original(WeightFiles.of(folder, fields.raw))
    check_is_csm(files, fields)
    codec = None
    if given.codec is not None or not brings_codec(files):
        codec = _completed(folder, given.codec, CODEC_ID, "codec")
    layout, config, tensors = arrange(
        fields, files, None if codec is None else read_codec_folder(codec), given.head_dims
    )
    if codec is not None:
        tensors = WithCodec(tensors, WeightFiles.of(codec, {}))
    if given.adapter is not None:
        tensors = AdaptedTensors(tensors, find_checkpoint(given.adapter, kind="adapter"))
    own_tokenizer = given.tokenizer is None and brings_tokenizer(folder)
    if not own_tokenizer or parameters(tensors) > QUICKLY_READ:
        build_skeleton(tensors, config)  # what does not fit is found before much is read, or more is fetched
    tokenizer = folder
    if not own_tokenizer:
        tokenizer = _completed(folder, given.tokenizer, TOKENIZER_ID, "tokenizer")
    return OpenedCheckpoint(folder, layout, config, tensors, tokenizer)


def read_fields(folder: Path, weights: Collection[str] = ()) -> Fields:
    """Return the fields of `config.json`; none where it is missing beside weights that tell enough themselves.

    Args:
        weights: names of weight files that belong there, whether they are there or on the hub.

    Raises:
        CheckpointFormatError: it is missing or unreadable.
    """
    path = folder / "config.json"
    raw = read_json(path)
    if raw is None and (folder / ADAPTER_CONFIG).is_file():
        raise CheckpointFormatError(
            f"{folder} holds an adapter and no model; pass the model that it was made for, with adapter={str(folder)!r}"
        )
    if raw is None and SINGLE not in weights and not (folder / SINGLE).is_file():
        raise CheckpointFormatError(f"{folder} holds no config.json; pass the folder of a Hugging Face CSM checkpoint")
    if raw is not None and not isinstance(raw, dict):
        raise CheckpointFormatError(f"{path} describes model_type {type(raw).__name__!r}; only 'csm' can be loaded")
    return Fields(raw or {}, path)


def brings_codec(files: Tensors) -> bool:
    """Whether a checkpoint's weights hold the codec's."""
    return any(name.startswith(CODEC) for name in files.names)


def brings_tokenizer(folder: Path) -> bool:
    """Whether a checkpoint's folder holds its tokenizer."""
    return (folder / TOKENIZER_FILE).is_file()


def arrange(
    fields: Fields, files: Tensors, codec: CodecConfig | None, dims: tuple[int, int] | None
) -> tuple[Layout, ModelConfig, Tensors]:
    """Tell the layout of a checkpoint, read its sizes, and give its tensors transformers' names.

    Args:
        fields: of its `config.json`.
        files: the tensors of its files, which `check_is_csm` let pass.
        codec: the configuration of a codec that is not its own.
        dims: how wide heads are, for flavours that are not known.

    Raises:
        CheckpointFormatError: it is no CSM, or in a form that cannot be read.
    """
    original = MARK in files
    if not original or _has_transformers_fields(fields):
        config = read_transformers_config(fields, codec)
        heads = HeadDims(config.backbone.head_dim, config.depth.head_dim)
    else:
        heads = head_dims(fields, files, dims)
        own = read_codec_config(fields.part("codec_config")) if codec is None else codec
        config = read_original_config(fields, files, own, heads)
    if not original:
        return "transformers", config, files
    return "original", replace(config, tied=True), OriginalTensors(files, heads)  # there is but one table


def read_codec_folder(folder: Path) -> CodecConfig:
    """Read the configuration of a codec.

    Raises:
        CheckpointFormatError: it is not Mimi's.
    """
    path = folder / "config.json"
    raw = read_json(path)
    if not isinstance(raw, dict) or raw.get("model_type") != "mimi":
        raise CheckpointFormatError(f"{path} is not a Mimi codec's; pass codec={CODEC_ID!r}, or its folder")
    return read_codec_config(Fields(raw, path))


def _has_transformers_fields(fields: Fields) -> bool:
    """Whether `config.json` has transformers' fields; the original code's may stand beside them."""
    return fields.raw.get("model_type") in MODEL_TYPES and "depth_decoder_config" in fields.raw


def check_is_csm(files: Tensors, fields: Fields) -> None:
    """Refuse what is no CSM, and weights that other programs have made their own. Nothing is fetched for those.

    Raises:
        CheckpointFormatError: it is something else.
    """
    mlx = next((name for name in files.names if _MLX.fullmatch(name)), None)
    if mlx is not None or fields.raw.get("quantization"):
        raise CheckpointFormatError(
            f"{fields.path.parent} holds weights in MLX's form ({mlx or 'quantization in config.json'}); take the "
            "repository that they were made from, in transformers' or the original layout"
        )
    if MARK in files:
        return
    if fields.raw.get("model_type") == "csm":
        files.stored(TRANSFORMERS_MARK)
        return
    if not fields.raw:
        raise CheckpointFormatError(
            f"{fields.path.parent} holds no config.json; pass the folder of a Hugging Face CSM checkpoint"
        )
    raise CheckpointFormatError(
        f"{fields.path} describes model_type {fields.raw.get('model_type')!r}; only 'csm' can be loaded"
    )


def _completed(folder: Path, given: str | Path | None, usual: str, kind: Kind) -> Path:
    """Return the folder of what a checkpoint does not bring.

    Raises:
        CheckpointError: of the kind that the search gave; it names the part and the option.
    """
    try:
        return find_checkpoint(usual if given is None else given, kind=kind)
    except CheckpointError as error:
        if given is not None:
            raise
        raise type(error)(
            f"{folder} brings no {kind}, and {usual} cannot be had: {error}; name another one: {kind}=…"
        ) from error
