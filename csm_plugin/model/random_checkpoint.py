"""Writes CSM checkpoints with random weights: for tests, benchmarks and trying out sizes.

They load like real ones, in this package and in transformers, and speak noise.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import CsmConfig, CsmForConditionalGeneration, PreTrainedTokenizerFast

BACKBONE_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 0.125,
    "high_freq_factor": 0.5,
    "original_max_position_embeddings": 1024,
}
DEPTH_ROPE = BACKBONE_ROPE | {
    "low_freq_factor": 0.001953125,
    "high_freq_factor": 0.0078125,
    "original_max_position_embeddings": 16,
}
SPECIAL_TOKENS = ["<|begin_of_text|>", "<|end_of_text|>", "<|AUDIO|>", "<|audio_eos|>", "<unk>"]
CHARACTERS = string.ascii_lowercase + string.digits + " .,?!'-[]:;"

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "codebooks": 8,
        "codes": 256,
        "backbone": (2, 64, 4, 2, 128),
        "depth": (1, 32, 2, 1, 64),
        "codec": {"hidden_size": 32, "num_filters": 4, "upsample_groups": 32, "num_hidden_layers": 1,
                  "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2, "sliding_window": 20},
    },
    "small": {
        "codebooks": 12,
        "codes": 1024,
        "backbone": (3, 128, 4, 2, 256),
        "depth": (2, 64, 2, 1, 128),
        "codec": {"hidden_size": 128, "num_filters": 16, "upsample_groups": 128, "num_hidden_layers": 2,
                  "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 4, "sliding_window": 100},
    },
    "csm-1b": {
        "codebooks": 32,
        "codes": 2048,
        "backbone": (16, 2048, 32, 8, 8192),
        "depth": (4, 1024, 8, 2, 8192),
        "codec": {},
        "text_vocabulary": 128_256,
    },
}  # fmt: skip


def write_random_checkpoint(
    folder: Path | str,
    size: str = "tiny",
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    tied: bool = True,
    max_shard_size: str = "5GB",
    alignment_heads: Sequence[tuple[int, int]] = (),
    **overrides: Any,
) -> Path:
    """Write a checkpoint with random weights in Hugging Face's form and return its folder.

    Args:
        size: "tiny" (tests), "small" (benchmarks on a CPU) or "csm-1b" (the real shapes, 3.3 GB in bfloat16).
        seed: the same seed gives the same weights.
        tied: share the code embeddings of backbone and depth decoder, as CSM-1B does.
        alignment_heads: heads of the backbone, as (layer, head), that the checkpoint says follow the text.
        overrides: entries of `SIZES` to replace, `codebooks` for example.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = character_tokenizer()
    config = _config(SIZES[size] | overrides, tokenizer, tied)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            model = CsmForConditionalGeneration(config)
        finally:
            torch.set_default_dtype(default)
        _spread(model)
    if alignment_heads:
        model.generation_config.alignment_heads = [list(pair) for pair in alignment_heads]
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    tokenizer.save_pretrained(folder)
    return folder


def character_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of lower-case characters with CSM's special tokens."""
    vocabulary = {token: index for index, token in enumerate(SPECIAL_TOKENS + list(CHARACTERS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        unk_token="<unk>",
        additional_special_tokens=["<|AUDIO|>", "<|audio_eos|>"],
    )


def _config(size: dict[str, Any], tokenizer: PreTrainedTokenizerFast, tied: bool) -> CsmConfig:
    codebooks, codes = size["codebooks"], size["codes"]
    return CsmConfig(
        num_codebooks=codebooks,
        vocab_size=codes + 3,
        text_vocab_size=size.get("text_vocabulary", len(tokenizer)),
        codebook_pad_token_id=codes + 2,
        bos_token_id=tokenizer.bos_token_id,
        audio_token_id=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
        audio_eos_token_id=tokenizer.convert_tokens_to_ids("<|audio_eos|>"),
        pad_token_id=tokenizer.eos_token_id,
        rope_parameters=dict(BACKBONE_ROPE),
        tie_codebooks_embeddings=tied,
        depth_decoder_config={
            "num_codebooks": codebooks,
            "vocab_size": codes + 3,
            "backbone_hidden_size": size["backbone"][1],
            "max_position_embeddings": codebooks + 1,
            "rope_parameters": DEPTH_ROPE | {"original_max_position_embeddings": min(16, codebooks)},
            **_sizes(size["depth"]),
        },
        codec_config={
            "model_type": "mimi",
            "num_quantizers": codebooks,
            "codebook_size": codes,
            "codebook_dim": 64 if size["codec"] else 256,
            "vector_quantization_hidden_dimension": 64 if size["codec"] else 256,
            **size["codec"],
        },
        **_sizes(size["backbone"]),
    )


def _sizes(numbers: tuple[int, int, int, int, int]) -> dict[str, int]:
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "intermediate_size")
    return dict(zip(names, numbers, strict=True))


@torch.no_grad()
def _spread(model: CsmForConditionalGeneration) -> None:
    """Make what the initialisation leaves at zero or nearly so matter, so that parity tests see every weight."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name.endswith(("embed_sum", "_layer_scale.scale")):
            tensor.normal_(0, 0.3)
        elif "embed" in name and tensor.is_floating_point():
            tensor.normal_(0, 0.5)
        elif name.endswith(("lm_head.weight", "codebooks_head.weight")):
            tensor.normal_(0, 0.2)
        elif name.endswith(("_proj.weight", "fc1.weight", "fc2.weight")):
            tensor.normal_(0, tensor.shape[1] ** -0.5)
    decoder = model.codec_model.decoder
    convolutions = getattr(decoder, "decoder_seanet", decoder)  # older transformers keep them in the decoder itself
    convolutions.layers[-1].conv.weight.mul_(0.01)  # quiet noise
