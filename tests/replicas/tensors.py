"""The tensors of a CSM, by the names of the original code and of transformers' conversion of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Part:
    """Sizes of one transformer."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int


@dataclass(frozen=True)
class Codec:
    """Sizes of a Mimi; `kyutai/mimi`'s by default."""

    width: int = 512
    filters: int = 64
    layers: int = 8
    heads: int = 8
    mlp: int = 2048
    codes: int = 2048
    inner: int = 256
    window: int = 250

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


@dataclass(frozen=True)
class Sizes:
    """Sizes of a whole model; CSM-1B's by default."""

    backbone: Part = Part(16, 2048, 32, 8, 64, 8192)
    depth: Part = Part(4, 1024, 8, 2, 128, 8192)
    codec: Codec = Codec()
    codebooks: int = 32
    text_vocabulary: int = 128_256

    @property
    def vocabulary(self) -> int:
        return self.codec.codes + 3

    def with_layers(self, backbone: int, depth: int) -> Sizes:
        return dataclasses.replace(
            self,
            backbone=dataclasses.replace(self.backbone, layers=backbone),
            depth=dataclasses.replace(self.depth, layers=depth),
        )


SMALL = Sizes(
    backbone=Part(16, 128, 2, 1, 64, 192),
    depth=Part(4, 128, 2, 1, 128, 160),
    codec=Codec(width=32, filters=4, heads=2, mlp=64, codes=64, inner=16, window=20),
    text_vocabulary=320,
)
"""CSM-1B in small: as many layers, codebooks and tensors, heads as wide."""

MARVIS = dataclasses.replace(
    SMALL, backbone=Part(6, 384, 3, 1, 128, 256), depth=Part(4, 128, 2, 1, 128, 96), text_vocabulary=320
)


def original_shapes(sizes: Sizes) -> Shapes:
    """Return the tensors that the original code saves; 187 of CSM-1B."""
    shapes: Shapes = {
        "text_embeddings.weight": (sizes.text_vocabulary, sizes.backbone.width),
        "audio_embeddings.weight": (sizes.vocabulary * sizes.codebooks, sizes.backbone.width),
        "projection.weight": (sizes.depth.width, sizes.backbone.width),
        "codebook0_head.weight": (sizes.vocabulary, sizes.backbone.width),
        "audio_head": (sizes.codebooks - 1, sizes.depth.width, sizes.vocabulary),
    }
    for name, part in (("backbone", sizes.backbone), ("decoder", sizes.depth)):
        for layer in range(part.layers):
            prefix = f"{name}.layers.{layer}"
            shapes |= {
                f"{prefix}.attn.q_proj.weight": (part.heads * part.head_dim, part.width),
                f"{prefix}.attn.k_proj.weight": (part.kv_heads * part.head_dim, part.width),
                f"{prefix}.attn.v_proj.weight": (part.kv_heads * part.head_dim, part.width),
                f"{prefix}.attn.output_proj.weight": (part.width, part.heads * part.head_dim),
                f"{prefix}.mlp.w1.weight": (part.mlp, part.width),
                f"{prefix}.mlp.w3.weight": (part.mlp, part.width),
                f"{prefix}.mlp.w2.weight": (part.width, part.mlp),
                f"{prefix}.sa_norm.scale": (part.width,),
                f"{prefix}.mlp_norm.scale": (part.width,),
            }
        shapes[f"{name}.norm.scale"] = (part.width,)
    return shapes


def codec_shapes(codec: Codec) -> Shapes:
    """Return the tensors of `kyutai/mimi`; 350 of them."""
    ratios = (8, 6, 5, 4)
    shapes: Shapes = {}

    def conv(name: str, outputs: int, inputs: int, kernel: int, biases: int | None = None) -> None:
        shapes[f"{name}.conv.weight"] = (outputs, inputs, kernel)
        shapes[f"{name}.conv.bias"] = (outputs if biases is None else biases,)

    width = codec.filters
    conv("encoder.layers.0", width, 1, 7)
    for index, ratio in enumerate(reversed(ratios)):
        conv(f"encoder.layers.{1 + 3 * index}.block.1", width // 2, width, 3)
        conv(f"encoder.layers.{1 + 3 * index}.block.3", width, width // 2, 1)
        conv(f"encoder.layers.{3 + 3 * index}", 2 * width, width, 2 * ratio)
        width *= 2
    conv("encoder.layers.14", codec.width, width, 3)
    conv("decoder.layers.0", width, codec.width, 7)
    for index, ratio in enumerate(ratios):
        conv(f"decoder.layers.{2 + 3 * index}", width, width // 2, 2 * ratio, biases=width // 2)
        width //= 2
        conv(f"decoder.layers.{3 + 3 * index}.block.1", width // 2, width, 3)
        conv(f"decoder.layers.{3 + 3 * index}.block.3", width, width // 2, 1)
    conv("decoder.layers.14", 1, width, 3)
    for half in ("encoder", "decoder"):
        for layer in range(codec.layers):
            prefix = f"{half}_transformer.layers.{layer}"
            shapes |= {f"{prefix}.self_attn.{kind}_proj.weight": (codec.width, codec.width) for kind in "qkvo"}
            shapes |= {
                f"{prefix}.mlp.fc1.weight": (codec.mlp, codec.width),
                f"{prefix}.mlp.fc2.weight": (codec.width, codec.mlp),
                f"{prefix}.self_attn_layer_scale.scale": (codec.width,),
                f"{prefix}.mlp_layer_scale.scale": (codec.width,),
            }
            for norm in ("input_layernorm", "post_attention_layernorm"):
                shapes |= {f"{prefix}.{norm}.{kind}": (codec.width,) for kind in ("weight", "bias")}
    shapes["downsample.conv.weight"] = (codec.width, codec.width, 4)
    shapes["upsample.conv.weight"] = (codec.width, 1, 4)
    for kind, count in (("semantic", 1), ("acoustic", 31)):
        prefix = f"quantizer.{kind}_residual_vector_quantizer"
        shapes[f"{prefix}.input_proj.weight"] = (codec.inner, codec.width, 1)
        shapes[f"{prefix}.output_proj.weight"] = (codec.width, codec.inner, 1)
        for index in range(count):
            book = f"{prefix}.layers.{index}.codebook"
            shapes |= {
                f"{book}.initialized": (1,),
                f"{book}.cluster_usage": (codec.codes,),
                f"{book}.embed_sum": (codec.codes, codec.inner),
            }
    return shapes


def transformers_name(original: str) -> str:
    """Return the name that transformers' conversion gives a tensor of the original code."""
    outside = {
        "text_embeddings.weight": "embed_text_tokens.weight",
        "audio_embeddings.weight": "backbone_model.embed_tokens.embed_audio_tokens.weight",
        "projection.weight": "depth_decoder.model.inputs_embeds_projector.weight",
        "codebook0_head.weight": "lm_head.weight",
        "audio_head": "depth_decoder.codebooks_head.weight",
    }
    if original in outside:
        return outside[original]
    name = original.replace("backbone.", "backbone_model.").replace("decoder.", "depth_decoder.model.")
    for old, new in (
        ("attn.output_proj", "self_attn.o_proj"),
        (".attn.", ".self_attn."),
        ("mlp.w1", "mlp.gate_proj"),
        ("mlp.w2", "mlp.down_proj"),
        ("mlp.w3", "mlp.up_proj"),
        ("sa_norm.scale", "input_layernorm.weight"),
        ("mlp_norm.scale", "post_attention_layernorm.weight"),
        ("norm.scale", "norm.weight"),
    ):
        name = name.replace(old, new)
    return name


def transformers_shapes(sizes: Sizes) -> Shapes:
    """Return the tensors of the conversion, in the order in which they are saved; 538 of CSM-1B."""
    own = {transformers_name(name): shape for name, shape in original_shapes(sizes).items()}
    table = "backbone_model.embed_tokens.embed_audio_tokens.weight"
    own["depth_decoder.model.embed_tokens.weight"] = own[table]
    codec = {f"codec_model.{name}": shape for name, shape in codec_shapes(sizes.codec).items()}
    parts = ("lm_head", "embed_text_tokens", "backbone_model", "depth_decoder")
    return {name: own[name] for part in parts for name in own if name.startswith(part)} | codec


def random_tensors(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Return float32 tensors of these shapes, of such sizes that each of them matters to what is said."""
    generator = torch.Generator().manual_seed(seed)

    def random(name: str, shape: tuple[int, ...]) -> Tensor:
        tensor = torch.randn(shape, generator=generator)
        if name.endswith("initialized"):
            return torch.ones(shape)
        if name.endswith("cluster_usage"):
            return tensor.abs() + 0.5
        if "norm" in name and name.endswith(("scale", "weight")):
            return 1 + 0.1 * tensor
        if name.endswith((".bias", "layer_scale.scale")):
            return 0.2 * tensor
        if name.endswith(("embeddings.weight", "embed_sum")):
            return 0.5 * tensor
        if name in ("audio_head", "codebook0_head.weight"):
            return 0.2 * tensor
        fan_in = shape[1] * (shape[2] if len(shape) == 3 else 1) if len(shape) > 1 else 1
        return tensor * fan_in**-0.5

    return {name: random(name, shape) for name, shape in shapes.items()}


def converted(original: dict[str, Tensor], codec: dict[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
    """Convert tensors of the original code as transformers' script does: other names, queries and keys in halves."""

    def halves(weight: Tensor, heads: int) -> Tensor:
        rows, width = weight.shape
        return weight.view(heads, rows // heads // 2, 2, width).transpose(1, 2).reshape(rows, width)

    tensors = {}
    for name, tensor in original.items():
        part = sizes.backbone if name.startswith("backbone") else sizes.depth
        if name.endswith("q_proj.weight"):
            tensor = halves(tensor, part.heads)
        if name.endswith("k_proj.weight"):
            tensor = halves(tensor, part.kv_heads)
        tensors[transformers_name(name)] = tensor.contiguous()
    table = tensors["backbone_model.embed_tokens.embed_audio_tokens.weight"]
    tensors["depth_decoder.model.embed_tokens.weight"] = table.clone()
    tensors |= {f"codec_model.{name}": tensor for name, tensor in codec.items()}
    return {name: tensors[name] for name in transformers_shapes(sizes)}
