"""Builds the streaming codec from a checkpoint's tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from csm_plugin.model.mimi.attention import WindowLayer, WindowTransformer
from csm_plugin.model.mimi.codec import Mimi, SeaNet
from csm_plugin.model.mimi.config import MAX_FRAMES, CodecConfig
from csm_plugin.model.mimi.conv import CausalConv, ResidualUnit, Upsample
from csm_plugin.model.mimi.quantizer import ResidualQuantizer, SplitQuantizer
from csm_plugin.model.rope import interleave_pairs
from csm_plugin.model.weights import CODEC, Tensors
from csm_plugin.settings import FRAME_SAMPLES


def build_mimi(tensors: Tensors, config: CodecConfig, device: torch.device) -> Mimi:
    """Build encoder and decoder, in float32 whatever the checkpoint holds.

    Raises:
        CheckpointFormatError: a tensor is missing or of the wrong shape.
    """
    return _Builder(tensors, config, device).mimi()


class _Builder:
    def __init__(self, tensors: Tensors, config: CodecConfig, device: torch.device) -> None:
        self.tensors = tensors
        self.config = config
        self.device = device

    def mimi(self) -> Mimi:
        config, width, stride = self.config, self.config.hidden_size, self.config.stride
        return Mimi(
            encoder=self.encoder(),
            encoder_transformer=self.transformer("encoder_transformer"),
            downsample=CausalConv.of(
                "downsample", self.read("downsample.conv.weight", width, width, 2 * stride), None, stride
            ),
            quantizer=SplitQuantizer(
                self.quantizer("semantic", config.num_semantic_quantizers),
                self.quantizer("acoustic", config.num_quantizers - config.num_semantic_quantizers),
            ),
            upsample=Upsample.of("upsample", self.read("upsample.conv.weight", width, 1, 2 * stride)),
            decoder_transformer=self.transformer("decoder_transformer"),
            decoder=self.decoder(),
            frame_samples=FRAME_SAMPLES,
            device=self.device,
        )

    def read(self, name: str, *shape: int) -> Tensor:
        return self.tensors.get(CODEC + name, shape).to(self.device, torch.float32, copy=True)

    def conv(self, name: str, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> CausalConv:
        weight = self.read(f"{name}.conv.weight", outputs, inputs, kernel)
        return CausalConv.of(name, weight, self.read(f"{name}.conv.bias", outputs), stride, dilation)

    def residual(self, name: str, width: int, dilation: int) -> ResidualUnit:
        inner, kernel = width // self.config.compress, self.config.residual_kernel_size
        return ResidualUnit(
            self.conv(f"{name}.block.1", width, inner, kernel, dilation=dilation),
            self.conv(f"{name}.block.3", inner, width, 1),
        )

    def encoder(self) -> SeaNet:
        config, number, width = self.config, 1, self.config.num_filters
        layers: list[CausalConv | ResidualUnit] = [self.conv("encoder.layers.0", 1, width, config.kernel_size)]
        for ratio in reversed(config.upsampling_ratios):
            for j in range(config.num_residual_layers):
                layers.append(self.residual(f"encoder.layers.{number}", width, config.dilation_growth_rate**j))
                number += 1
            name = f"encoder.layers.{number + 1}"  # behind an ELU
            layers.append(self.conv(name, width, 2 * width, 2 * ratio, stride=ratio))
            number += 2
            width *= 2
        layers.append(self.conv(f"encoder.layers.{number + 1}", width, config.hidden_size, config.last_kernel_size))
        return SeaNet(layers)

    def decoder(self) -> SeaNet:
        config, number = self.config, 1
        width = config.num_filters * 2 ** len(config.upsampling_ratios)
        first = self.conv("decoder.layers.0", config.hidden_size, width, config.kernel_size)
        layers: list[CausalConv | ResidualUnit] = [first]
        for ratio in config.upsampling_ratios:
            name, width = f"decoder.layers.{number + 1}", width // 2  # behind an ELU
            weight = self.read(f"{name}.conv.weight", 2 * width, width, 2 * ratio)
            layers.append(CausalConv.transposed(name, weight, self.read(f"{name}.conv.bias", width), ratio))
            number += 2
            for j in range(config.num_residual_layers):
                layers.append(self.residual(f"decoder.layers.{number}", width, config.dilation_growth_rate**j))
                number += 1
        layers.append(self.conv(f"decoder.layers.{number + 1}", width, 1, config.last_kernel_size))
        return SeaNet(layers)

    def transformer(self, name: str) -> WindowTransformer:
        config = self.config
        return WindowTransformer(
            name=name,
            layers=[self.layer(f"{name}.layers.{index}") for index in range(config.num_hidden_layers)],
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            window=config.sliding_window,
            norm_eps=config.norm_eps,
            rotation=config.rope.table(config.head_dim, MAX_FRAMES * config.stride).to(self.device),
        )

    def layer(self, name: str) -> WindowLayer:
        config = self.config
        width, mlp = config.hidden_size, config.intermediate_size
        queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
        attention, scale = f"{name}.self_attn", self.read(f"{name}.self_attn_layer_scale.scale", width)
        return WindowLayer(
            attention_norm=self.norm(f"{name}.input_layernorm"),
            qkv=torch.cat(
                (
                    interleave_pairs(self.read(f"{attention}.q_proj.weight", queries, width), config.head_dim),
                    interleave_pairs(self.read(f"{attention}.k_proj.weight", keys, width), config.head_dim),
                    self.read(f"{attention}.v_proj.weight", keys, width),
                )
            ),
            output=scale[:, None] * self.read(f"{attention}.o_proj.weight", width, queries),
            mlp_norm=self.norm(f"{name}.post_attention_layernorm"),
            up=self.read(f"{name}.mlp.fc1.weight", mlp, width) * 0.5**0.5,
            down=self.read(f"{name}.mlp_layer_scale.scale", width)[:, None]
            * self.read(f"{name}.mlp.fc2.weight", width, mlp)
            * 0.5**0.5,
        )

    def norm(self, name: str) -> tuple[Tensor, Tensor]:
        width = self.config.hidden_size
        return self.read(f"{name}.weight", width), self.read(f"{name}.bias", width)

    def quantizer(self, kind: str, count: int) -> ResidualQuantizer:
        config = self.config
        name = f"quantizer.{kind}_residual_vector_quantizer"
        inner, width = config.vector_quantization_hidden_dimension, config.hidden_size
        projected = inner != width
        return ResidualQuantizer(
            codebooks=torch.stack([self.codebook(f"{name}.layers.{index}.codebook") for index in range(count)]),
            input_projection=self.read(f"{name}.input_proj.weight", inner, width, 1)[:, :, 0] if projected else None,
            output_projection=self.read(f"{name}.output_proj.weight", width, inner, 1)[:, :, 0] if projected else None,
        )

    def codebook(self, name: str) -> Tensor:
        config = self.config
        usage = self.read(f"{name}.cluster_usage", config.codebook_size).clamp(min=1e-5)
        return self.read(f"{name}.embed_sum", config.codebook_size, config.codebook_dim) / usage[:, None]
