"""A checkpoint as it lies in its folder, ready to be read: its layout, sizes, tensors and tokenizer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from csm_plugin.errors import CheckpointError, CheckpointFormatError, SettingsError
from csm_plugin.model.adapter import AdaptedTensors
from csm_plugin.model.checkpoint import Kind, find_checkpoint
from csm_plugin.model.config import ModelConfig, read_transformers_config
from csm_plugin.model.fields import Fields, read_json
from csm_plugin.model.mimi.config import CodecConfig, read_codec_config
from csm_plugin.model.original import MARK, HeadDims, OriginalTensors, head_dims, read_original_config
from csm_plugin.model.tokenizer import FILE as TOKENIZER_FILE
from csm_plugin.model.tokenizer import SegmentTokenizer
from csm_plugin.model.weights import CODEC, Tensors, WeightFiles, WithCodec

Layout = Literal["transformers", "original"]

CODEC_ID, TOKENIZER_ID = "kyutai/mimi", "meta-llama/Llama-3.2-1B"
"""What a checkpoint is completed with that does not bring its codec or its tokenizer."""

MODEL_TYPES = ("csm", "marvis", "sesame")
"""What a configuration with transformers' fields may call itself."""
_MLX = re.compile(r"(model\.)?(backbone|decoder)\.layers\.\d+\.self_attn\..+|.+\.scales")


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
        if dims is not None and (len(dims) != 2 or any(type(d) is not int or d < 2 or d % 2 for d in dims)):
            raise SettingsError(f"head_dims is {dims!r}; it must be two even whole numbers, such as (64, 128)")


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
    fields = _fields(folder)
    files = WeightFiles.of(folder, fields.raw)
    _check_names(files, fields)
    codec = _codec(folder, files, given)
    original = MARK in files
    if not original or _has_transformers_fields(fields):
        config = read_transformers_config(fields, None if codec is None else _codec_config(codec))
        dims = HeadDims(config.backbone.head_dim, config.depth.head_dim)
    else:
        dims = head_dims(fields, files, given.head_dims)
        own = read_codec_config(fields.part("codec_config")) if codec is None else _codec_config(codec)
        config = read_original_config(fields, files, own, dims)
    tensors: Tensors = OriginalTensors(files, dims) if original else files
    if codec is not None:
        tensors = WithCodec(tensors, WeightFiles.of(codec, {}))
    if given.adapter is not None:
        tensors = AdaptedTensors(tensors, find_checkpoint(given.adapter, kind="adapter"))
    tokenizer = _tokenizer(folder, given)
    return OpenedCheckpoint(folder, "original" if original else "transformers", config, tensors, tokenizer)


def _fields(folder: Path) -> Fields:
    """Return the fields of `config.json`; none where it is missing beside weights that tell enough themselves."""
    path = folder / "config.json"
    raw = read_json(path)
    if raw is None and not (folder / "model.safetensors").is_file():
        raise CheckpointFormatError(f"{folder} holds no config.json; pass the folder of a Hugging Face CSM checkpoint")
    if raw is not None and not isinstance(raw, dict):
        raise CheckpointFormatError(f"{path} describes model_type {type(raw).__name__!r}; only 'csm' can be loaded")
    return Fields(raw or {}, path)


def _has_transformers_fields(fields: Fields) -> bool:
    """Whether `config.json` has transformers' fields; the original code's may stand beside them."""
    return fields.raw.get("model_type") in MODEL_TYPES and "depth_decoder_config" in fields.raw


def _check_names(files: WeightFiles, fields: Fields) -> None:
    """Refuse what is no CSM, and weights that other programs have made their own.

    Raises:
        CheckpointFormatError: it is something else.
    """
    mlx = next((name for name in files.names if _MLX.fullmatch(name)), None)
    if mlx is not None or fields.raw.get("quantization"):
        raise CheckpointFormatError(
            f"{files.folder} holds weights in MLX's form ({mlx or 'quantization in config.json'}); take the repository "
            "that they were made from, in transformers' or the original layout"
        )
    if MARK in files or fields.raw.get("model_type") == "csm":
        return
    if not fields.raw:
        raise CheckpointFormatError(
            f"{files.folder} holds no config.json; pass the folder of a Hugging Face CSM checkpoint"
        )
    raise CheckpointFormatError(
        f"{fields.path} describes model_type {fields.raw.get('model_type')!r}; only 'csm' can be loaded"
    )


def _codec(folder: Path, files: WeightFiles, given: Parts) -> Path | None:
    """Return the folder of the codec, None where the checkpoint brings it."""
    if given.codec is None and any(name.startswith(CODEC) for name in files.names):
        return None
    return _completed(folder, given.codec, CODEC_ID, "codec")


def _codec_config(codec: Path) -> CodecConfig:
    path = codec / "config.json"
    raw = read_json(path)
    if not isinstance(raw, dict) or raw.get("model_type") != "mimi":
        raise CheckpointFormatError(f"{path} is not a Mimi codec's; pass codec={CODEC_ID!r}, or its folder")
    return read_codec_config(Fields(raw, path))


def _tokenizer(folder: Path, given: Parts) -> Path:
    if given.tokenizer is None and (folder / TOKENIZER_FILE).is_file():
        return folder
    return _completed(folder, given.tokenizer, TOKENIZER_ID, "tokenizer")


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
