"""What a checkpoint is and needs, told from its configuration and the headers of its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.adapter import AdaptedTensors
from csm_plugin.model.cache import KVCache
from csm_plugin.model.checkpoint import find_checkpoint, here, hub_id_and_revision, is_on_hub
from csm_plugin.model.config import ModelConfig
from csm_plugin.model.headers import META, HeaderTensors, build_skeleton
from csm_plugin.model.hub import peek
from csm_plugin.model.known import CODEC as CODEC_ID
from csm_plugin.model.known import TOKENIZER as TOKENIZER_ID
from csm_plugin.model.known import Layout
from csm_plugin.model.mimi.config import CodecConfig
from csm_plugin.model.opened import (
    OpenedCheckpoint,
    Parts,
    arrange,
    brings_codec,
    brings_tokenizer,
    check_is_csm,
    read_codec_folder,
    read_fields,
)
from csm_plugin.model.original_layout import as_original
from csm_plugin.model.weights import CODEC, Stored, Tensors, WeightFiles, WithCodec
from csm_plugin.settings import VoiceStyle

SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number, by dtype. The codec is float32 in each of them."""
PARTS = {
    "embed_text_tokens": "text embeddings",
    "backbone_model": "backbone",
    "depth_decoder": "depth decoder",
    CODEC: "codec",
}
"""What the names of each part's tensors begin with; the head of codebook 0 is none of them."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a model takes in one dtype, in bytes.

    Args:
        weights: in memory.
        conversation: beside the weights, for each of them.
        frame: what is read of the weights for one frame of one conversation.
    """

    weights: int
    conversation: int
    frame: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a checkpoint without reading its numbers.

    Args:
        folder: where its configuration lies.
        layout: of its tensors.
        kinds: how its numbers are stored, and how many of each kind.
        parameters: how many there are, by part.
        codebooks: codes a frame.
        voice_style: how it follows a voice prompt.
        files: the weight files, and their sizes in bytes.
        fetched: whether all of them are here.
        needs: what it takes, by dtype; empty if its tensors do not fit its configuration.
        missing: what it needs and does not bring, and is not here either.
        problem: why it cannot be loaded; None if nothing is known against it.
    """

    folder: Path
    layout: Layout
    kinds: Mapping[str, int]
    parameters: Mapping[str, int]
    codebooks: int
    voice_style: VoiceStyle
    files: Mapping[str, int]
    fetched: bool
    needs: Mapping[str, Needs]
    missing: Sequence[str]
    problem: str | None


def inspect_checkpoint(model: str | Path, parts: Parts | None = None) -> Inspection:
    """Look at a checkpoint, here or on the hub, without reading its numbers. Blocks.

    Of what it is to be completed with only what is here is looked at.

    Raises:
        CheckpointError: it cannot be found, or is no CSM at all.
    """
    named = hub_id_and_revision(model) if is_on_hub(model) else None
    if named is not None:
        seen = peek(*named)
        stored = {
            name: Stored(seen.folder / file, name, kind, shape) for name, (file, kind, shape) in seen.headers.items()
        }
        return _inspect(seen.folder, stored, seen.weights, fetched=seen.cached, parts=parts or Parts())
    folder = find_checkpoint(model)
    files = WeightFiles.of(folder, read_fields(folder).raw)
    stored = {name: files.stored(name) for name in files.names}
    sizes = {path.name: path.stat().st_size for path in sorted({one.path for one in stored.values()})}
    return _inspect(folder, stored, sizes, fetched=True, parts=parts or Parts())


def _inspect(
    folder: Path, stored: Mapping[str, Stored], files: Mapping[str, int], *, fetched: bool, parts: Parts
) -> Inspection:
    headers = as_original(HeaderTensors(folder, stored))
    fields = read_fields(folder, files)
    check_is_csm(headers, fields)
    own_codec = parts.codec is None and brings_codec(headers)
    own_tokenizer = parts.tokenizer is None and brings_tokenizer(folder)
    codec = None if own_codec else here(parts.codec or CODEC_ID, "codec")
    tokenizer = folder if own_tokenizer else here(parts.tokenizer or TOKENIZER_ID, "tokenizer")
    adapter = None if parts.adapter is None else here(parts.adapter, "adapter")
    missing = [] if own_codec or codec is not None else [f"the codec, {parts.codec or CODEC_ID}: codec=…"]
    if tokenizer is None:
        missing.append(f"the tokenizer, {parts.tokenizer or TOKENIZER_ID}: tokenizer=…")
    if adapter is None and parts.adapter is not None:
        missing.append(f"the adapter, {parts.adapter}")
    sizes = None if own_codec else CodecConfig() if codec is None else read_codec_folder(codec)
    layout, config, tensors = arrange(fields, headers, sizes, parts.head_dims)
    if codec is not None:
        tensors = WithCodec(tensors, WeightFiles.of(codec, {}))
    needs: dict[str, Needs] = {}
    problem = None
    try:
        needs = _needs(tensors, config)
        if adapter is not None:
            AdaptedTensors(tensors, adapter)
        if tokenizer is not None:
            OpenedCheckpoint(folder, layout, config, tensors, tokenizer).read_tokenizer()
    except CheckpointFormatError as error:
        problem = str(error)
    return Inspection(
        folder=folder,
        layout=layout,
        kinds={kind: sum(one.parameters for one in stored.values() if one.kind == kind) for kind in _kinds(stored)},
        parameters=_parameters(tensors),
        codebooks=config.codebooks,
        voice_style=config.voice_style,
        files=files,
        fetched=fetched,
        needs=needs,
        missing=missing,
        problem=problem,
    )


def _needs(tensors: Tensors, config: ModelConfig) -> dict[str, Needs]:
    """Build the model without numbers, and count."""
    model = build_skeleton(tensors, config)
    codec, depth = model.codec, model.depth_weights
    cache = KVCache(model.backbone, 1, torch.bfloat16, META).bytes_per_row
    decoder = 0 if codec is None else _bytes((codec.upsample, codec.decoder_transformer, codec.decoder))
    noise = config.backbone.positions * config.codebooks * 4
    state = noise + (0 if codec is None else codec.decoder_state(1).bytes_per_row)
    embeddings = (model.text_embedding, model.frame_embedding)
    weights = _bytes((*embeddings, model.first_head, model.backbone.layers, model.depth.layers, depth))
    step = _bytes((model.backbone.layers, model.first_head, depth.projection, depth.heads))
    step += (config.codebooks - 1) * _bytes(model.depth.layers)
    return {
        dtype: Needs(size * weights // 2 + _bytes(codec), size * cache // 2 + state, size * step // 2 + decoder)
        for dtype, size in SIZES.items()
    }


def _parameters(tensors: Tensors) -> dict[str, int]:
    """Count the numbers of each part; of two equal tables of code embeddings both count."""
    counted: Counter[str] = Counter()
    for name in tensors.names:
        part = next((part for prefix, part in PARTS.items() if name.startswith(prefix)), "heads")
        counted[part] += tensors.stored(name).parameters
    return dict(counted)


def _kinds(stored: Mapping[str, Stored]) -> list[str]:
    return sorted({one.kind for one in stored.values()})


def _bytes(thing: object) -> int:
    """Return the bytes of all tensors in a thing, whatever it is made of; what is shared counts once."""
    storages = [tensor.untyped_storage() for tensor in _tensors_in(thing)]
    return sum({StorageWeakRef(storage): storage.nbytes() for storage in storages}.values())


def _tensors_in(thing: Any) -> Iterator[Tensor]:
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from _tensors_in(part)
    elif is_dataclass(thing):
        for field in fields(thing):
            yield from _tensors_in(getattr(thing, field.name))
    elif hasattr(thing, "__dict__"):
        for part in vars(thing).values():
            yield from _tensors_in(part)
