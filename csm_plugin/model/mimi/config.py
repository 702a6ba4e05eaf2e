"""The sizes of a Mimi codec, read from its configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

from csm_plugin.model.fields import Fields
from csm_plugin.model.rope import Rope
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ

THETA = 10_000.0
MAX_FRAMES = 4_096
"""Of one stream: 5.5 minutes. No context is longer."""
FIXED: dict[str, object] = {
    "attention_bias": False,
    "audio_channels": 1,
    "frame_rate": 1 / FRAME_S,
    "hidden_act": "gelu",
    "num_semantic_quantizers": 1,
    "pad_mode": "constant",
    "sampling_rate": SAMPLE_RATE_HZ,
    "trim_right_ratio": 1.0,
    "use_causal_conv": True,
    "use_conv_shortcut": False,
}
"""What is built in; it is also what a configuration means that leaves it out."""


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """What the codec is built from, under the names that transformers' `MimiConfig` gives it.

    The defaults are `kyutai/mimi`'s, for a configuration that leaves them out.
    """

    hidden_size: int = 512
    num_filters: int = 64
    num_residual_layers: int = 1
    upsampling_ratios: tuple[int, ...] = (8, 6, 5, 4)
    kernel_size: int = 7
    last_kernel_size: int = 3
    residual_kernel_size: int = 3
    dilation_growth_rate: int = 2
    compress: int = 2
    codebook_size: int = 2048
    codebook_dim: int = 256
    num_quantizers: int = 32
    vector_quantization_hidden_dimension: int = 256
    num_hidden_layers: int = 8
    intermediate_size: int = 2048
    num_attention_heads: int = 8
    num_key_value_heads: int = 8
    head_dim: int = 64
    norm_eps: float = 1e-5
    sliding_window: int = 250
    rope: Rope = field(default_factory=partial(Rope, THETA))

    @property
    def num_semantic_quantizers(self) -> int:
        return 1

    @property
    def stride(self) -> int:
        """How many latents of the encoder become one frame."""
        return FRAME_SAMPLES // math.prod(self.upsampling_ratios)


def read_codec_config(fields: Fields) -> CodecConfig:
    """Read a codec's configuration.

    Raises:
        CheckpointFormatError: a value is of the wrong kind, or not supported.
    """
    fields.require(FIXED)
    defaults = CodecConfig()
    heads = fields.size("num_attention_heads", defaults.num_attention_heads)
    width = fields.size("hidden_size", defaults.hidden_size)
    sizes = {
        name: fields.size(name, getattr(defaults, name))
        for name in CodecConfig.__dataclass_fields__
        if name not in ("upsampling_ratios", "head_dim", "norm_eps", "rope")
    }
    config = CodecConfig(
        **sizes,
        upsampling_ratios=fields.sizes("upsampling_ratios", defaults.upsampling_ratios),
        head_dim=fields.size("head_dim", width // heads),
        norm_eps=fields.number("norm_eps", defaults.norm_eps),
        rope=fields.rope(THETA),
    )
    hop = math.prod(config.upsampling_ratios)
    if FRAME_SAMPLES % hop or FRAME_SAMPLES // hop < 2:
        raise fields.wrong(
            "upsampling_ratios",
            list(config.upsampling_ratios),
            f"their product must divide {FRAME_SAMPLES} at least twice",
        )
    if config.sliding_window > MAX_FRAMES * config.stride:
        raise fields.wrong(
            "sliding_window", config.sliding_window, f"a stream has at most {MAX_FRAMES * config.stride:,} positions"
        )
    return config
