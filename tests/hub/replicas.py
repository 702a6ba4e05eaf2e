"""Repositories with the names of the published ones, and contents of a few kilobytes."""

from __future__ import annotations

import json
from typing import Any

from tests.hub.stand_in import Repository

CSM_1B_SIZES = {
    ".gitattributes": 1_948,
    "README.md": 12_140,
    "chat_template.jinja": 2_002,
    "ckpt.pt": 6_219_618_714,
    "config.json": 3_280,
    "generation_config.json": 264,
    "model.safetensors": 6_211_186_784,
    "preprocessor_config.json": 271,
    "prompts/conversational_a.wav": 2_646_044,
    "prompts/conversational_b.wav": 2_646_044,
    "prompts/read_speech_a.wav": 831_412,
    "prompts/read_speech_b.wav": 576_052,
    "prompts/read_speech_c.wav": 385_964,
    "prompts/read_speech_d.wav": 435_884,
    "special_tokens_map.json": 449,
    "tokenizer.json": 17_209_980,
    "tokenizer_config.json": 50_563,
    "transformers-00001-of-00002.safetensors": 4_944_026_784,
    "transformers-00002-of-00002.safetensors": 2_189_474_180,
    "transformers.safetensors.index.json": 59_730,
}
"""Every file of sesame/csm-1b, in bytes."""
CSM_1B_NOT_WANTED = {".gitattributes", "README.md", "ckpt.pt", "model.safetensors", "preprocessor_config.json"}
CSM_1B_WANTED = CSM_1B_SIZES.keys() - CSM_1B_NOT_WANTED


def csm_1b(**options: Any) -> Repository:
    """sesame/csm-1b: transformers' shards, and the original weights in two forms beside them."""
    shards = [f"transformers-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = {"metadata": {}, "weight_map": {"lm_head.weight": shards[0], "embed_text_tokens.weight": shards[1]}}
    config = {
        "model_type": "csm",
        "audio_num_codebooks": 32,
        "backbone_flavor": "llama-1B",
        "transformers_weights": "transformers.safetensors.index.json",
    }
    small = {name: name.encode() * 20 for name in CSM_1B_SIZES}
    special = {
        "config.json": json.dumps(config).encode(),
        shards[0]: bytes(range(256)) * 12_000,
        shards[1]: bytes(reversed(range(256))) * 40,
        "transformers.safetensors.index.json": json.dumps(index).encode(),
    }
    return Repository(small | special, **options)


def original() -> Repository:
    """A fine-tune in the layout of SesameAILabs' own code."""
    config = {"audio_num_codebooks": 32, "backbone_flavor": "llama-1B", "decoder_flavor": "llama-100M"}
    return Repository({"config.json": json.dumps(config).encode(), "model.safetensors": bytes(700), "ckpt.pt": b"p"})


def holding(*names: str, config: dict[str, Any] | None = None) -> Repository:
    """A repository of these files, each of a few bytes, and a configuration."""
    files = {name: name.encode() for name in names}
    return Repository(files if config is None else {"config.json": json.dumps(config).encode(), **files})
