"""A model built from headers alone: it has every shape and no number, and tells early what does not fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from csm_plugin.model.build import build_backbone, build_depth, build_first_head, build_frame_embedding, reader
from csm_plugin.model.config import ModelConfig
from csm_plugin.model.depth import DepthWeights
from csm_plugin.model.mimi.build import build_mimi
from csm_plugin.model.mimi.codec import Mimi
from csm_plugin.model.transformer import Transformer
from csm_plugin.model.weights import CODEC, Headers, Stored, Tensors, TensorsOf

META = torch.device("meta")
_KINDS = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


class HeaderTensors(Headers):
    """Tensors of which only the headers are there: what `get` returns has a shape and no numbers."""

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor of the meta device.

        Raises:
            CheckpointFormatError: it is missing, or not as the configuration demands.
        """
        return _blank(self.stored(name), shape)


class Unread(TensorsOf):
    """Tensors that stay unread: `get` returns what `HeaderTensors` returns."""

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor of the meta device.

        Raises:
            CheckpointFormatError: it is missing, or not as the configuration demands.
        """
        return _blank(self.stored(name), shape)


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A model without numbers; without a codec where none is at hand."""

    text_embedding: Tensor
    frame_embedding: Tensor
    first_head: Tensor
    backbone: Transformer
    depth: Transformer
    depth_weights: DepthWeights
    codec: Mimi | None


def build_skeleton(tensors: Tensors, config: ModelConfig) -> Skeleton:
    """Build a model without reading any number, in bfloat16 but for the codec.

    Raises:
        CheckpointFormatError: a tensor is missing, or not as the configuration demands.
    """
    unread = Unread(tensors)
    with torch.inference_mode():
        read = reader(unread, torch.bfloat16, META)
        depth, depth_weights = build_depth(read, unread, config, META)
        return Skeleton(
            text_embedding=read("embed_text_tokens.weight", config.text_vocabulary, config.backbone.width),
            frame_embedding=build_frame_embedding(read, unread, config),
            first_head=build_first_head(read, config),
            backbone=build_backbone(read, config, META),
            depth=depth,
            depth_weights=depth_weights,
            codec=build_mimi(unread, config.codec, META) if any(n.startswith(CODEC) for n in unread.names) else None,
        )


def _blank(stored: Stored, shape: tuple[int, ...] | None) -> Tensor:
    stored.check(shape)
    return torch.empty(stored.shape, dtype=_KINDS[stored.kind], device=META)
