"""Puts a checkpoint's tensors into the model's fused form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from csm_plugin.model.config import ModelConfig
from csm_plugin.model.depth import DepthWeights
from csm_plugin.model.rope import interleave_pairs
from csm_plugin.model.transformer import Layer, Transformer, TransformerShape
from csm_plugin.model.weights import Tensors

Read = Callable[..., Tensor]

BACKBONE_EMBEDDING = "backbone_model.embed_tokens.embed_audio_tokens.weight"
DEPTH_EMBEDDING = "depth_decoder.model.embed_tokens.weight"


def reader(tensors: Tensors, dtype: torch.dtype, device: torch.device) -> Read:
    """Return a function that reads one tensor by name and shape, as `dtype` on `device`.

    It copies: a tensor that stayed a view of the mapped file would keep all of the file mapped.
    """

    def read(name: str, *shape: int) -> Tensor:
        return tensors.get(name, shape).to(device=device, dtype=dtype, copy=True)

    return read


def build_backbone(read: Read, config: ModelConfig, device: torch.device) -> Transformer:
    """Build the backbone's transformer."""
    places = config.backbone.positions + 1  # one more for idle rows
    return _transformer(read, "backbone_model", config.backbone, places, device)


def build_depth(
    read: Read, tensors: Tensors, config: ModelConfig, device: torch.device
) -> tuple[Transformer, DepthWeights]:
    """Build the depth decoder, its code embeddings multiplied by the input projection."""
    shape = replace(config.depth, positions=config.codebooks)
    transformer = _transformer(read, "depth_decoder.model", shape, shape.positions, device)
    books, vocabulary, size = config.codebooks, config.vocabulary, config.codebook_size
    width = config.backbone.width
    projection = read("depth_decoder.model.inputs_embeds_projector.weight", shape.width, width)
    name = BACKBONE_EMBEDDING if config.tied and DEPTH_EMBEDDING not in tensors else DEPTH_EMBEDDING
    table = read(name, books * vocabulary, width).view(books, vocabulary, width)
    projected = torch.stack([book[:size] @ projection.T for book in table[:-1]])
    heads = read("depth_decoder.codebooks_head.weight", books - 1, shape.width, vocabulary)
    norm = read("depth_decoder.model.norm.weight", shape.width)
    return transformer, DepthWeights(
        projection=_behind_norm(projection, read("backbone_model.norm.weight", width)),
        embeddings=projected,
        heads=_behind_norm(heads[:, :, :size].transpose(1, 2), norm).contiguous(),
    )


def build_frame_embedding(read: Read, tensors: Tensors, config: ModelConfig) -> Tensor:
    """Return the backbone's code embeddings [codebooks * codebook_size, D] of all codes that can occur."""
    books, width = config.codebooks, config.backbone.width
    name = DEPTH_EMBEDDING if config.tied and BACKBONE_EMBEDDING not in tensors else BACKBONE_EMBEDDING
    table = read(name, books * config.vocabulary, width).view(books, config.vocabulary, width)
    return table[:, : config.codebook_size].reshape(-1, width)


def build_first_head(read: Read, config: ModelConfig) -> Tensor:
    """Return the head of codebook 0, [codebook_size, D]; ids that are not codes are cut off."""
    width = config.backbone.width
    head = read("lm_head.weight", config.vocabulary, width)[: config.codebook_size]
    return _behind_norm(head, read("backbone_model.norm.weight", width))


def _transformer(read: Read, prefix: str, shape: TransformerShape, positions: int, device: torch.device) -> Transformer:
    layers = [_layer(read, f"{prefix}.layers.{index}", shape) for index in range(shape.layers)]
    return Transformer(shape, layers, shape.rope.table(shape.head_dim, positions).to(device))  # the layers fit it


def _layer(read: Read, prefix: str, shape: TransformerShape) -> Layer:
    width, mlp = shape.width, shape.mlp_width
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    qkv = torch.cat(
        (
            interleave_pairs(read(f"{prefix}.self_attn.q_proj.weight", queries, width), shape.head_dim),
            interleave_pairs(read(f"{prefix}.self_attn.k_proj.weight", keys, width), shape.head_dim),
            read(f"{prefix}.self_attn.v_proj.weight", keys, width),
        )
    )
    gate_up = torch.cat(
        (read(f"{prefix}.mlp.gate_proj.weight", mlp, width), read(f"{prefix}.mlp.up_proj.weight", mlp, width))
    )
    return Layer(
        qkv=_behind_norm(qkv, read(f"{prefix}.input_layernorm.weight", width)).T,
        output=read(f"{prefix}.self_attn.o_proj.weight", width, queries).T,
        gate_up=_behind_norm(gate_up, read(f"{prefix}.post_attention_layernorm.weight", width)).T,
        down=read(f"{prefix}.mlp.down_proj.weight", width, mlp).T,
    )


def _behind_norm(weight: Tensor, norm: Tensor) -> Tensor:
    """Fold an RMSNorm's weight and its sqrt(D) into the projection [..., D] that follows it."""
    return (weight.float() * (norm.float() * norm.shape[0] ** 0.5)).to(weight.dtype)
