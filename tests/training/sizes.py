"""Sizes of a codec and a language model that train in a moment."""

import copy

import pytest
from transformers import CsmConfig, MimiConfig

from training import sizes
from training.bundle import export
from training.codec import codec, decoder, encoder
from training.lm import language_model


def small_codec() -> MimiConfig:
    config = sizes.codec_config()
    config.update({"num_filters": 4, "hidden_size": 32, "upsample_groups": 32, "head_dim": 16, "intermediate_size": 32})
    config.update({"num_attention_heads": 2, "num_key_value_heads": 2})
    return config


def small_language() -> CsmConfig:
    config = sizes.language_config()
    small = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2}
    config.update({**small, "num_hidden_layers": 4})
    config.depth_decoder_config.update({**small, "num_hidden_layers": 1, "backbone_hidden_size": 64})
    config.codec_config = small_codec()
    return config


def use_small_sizes(patch: pytest.MonkeyPatch) -> None:
    """Let all stages use them."""
    config = small_language()
    for stage in (codec, decoder, encoder):
        patch.setattr(stage, "codec_config", small_codec)
    for stage in (language_model, export):
        patch.setattr(stage, "language_config", lambda: copy.deepcopy(config))
