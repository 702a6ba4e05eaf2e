"""Configurations in the forms in which they were published, at any sizes."""

from __future__ import annotations

from typing import Any

from tests.replicas.tensors import Codec, Sizes

Config = dict[str, Any]


def csm_1b(sizes: Sizes) -> Config:
    """`config.json` of sesame/csm-1b: transformers' of version 4.52 with rotary positions in the old layout, and the
    original code's five fields behind it."""
    backbone = sizes.backbone
    return {
        "architectures": ["CsmForConditionalGeneration"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "audio_eos_token_id": _special(sizes, 3),
        "audio_token_id": _special(sizes, 2),
        "bos_token_id": _special(sizes, 0),
        "codebook_eos_token_id": 0,
        "codebook_pad_token_id": sizes.codec.codes + 2,
        "codec_config": {"_name_or_path": "kyutai/mimi"} | mimi(sizes.codec),
        "depth_decoder_config": {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "backbone_hidden_size": backbone.width,
            "head_dim": sizes.depth.head_dim,
            "hidden_act": "silu",
            "hidden_size": sizes.depth.width,
            "initializer_range": 0.02,
            "intermediate_size": sizes.depth.mlp,
            "max_position_embeddings": sizes.codebooks + 1,
            "mlp_bias": False,
            "model_type": "csm_depth_decoder_model",
            "num_attention_heads": sizes.depth.heads,
            "num_codebooks": sizes.codebooks,
            "num_hidden_layers": sizes.depth.layers,
            "num_key_value_heads": sizes.depth.kv_heads,
            "rms_norm_eps": 1e-05,
            "rope_scaling": _rope(0.0078125, 0.001953125, 16),
            "rope_theta": 500000,
            "use_cache": True,
            "vocab_size": sizes.vocabulary,
        },
        "head_dim": backbone.head_dim,
        "hidden_act": "silu",
        "hidden_size": backbone.width,
        "initializer_range": 0.02,
        "intermediate_size": backbone.mlp,
        "max_position_embeddings": 2048,
        "mlp_bias": False,
        "model_type": "csm",
        "num_attention_heads": backbone.heads,
        "num_codebooks": sizes.codebooks,
        "num_hidden_layers": backbone.layers,
        "num_key_value_heads": backbone.kv_heads,
        "pad_token_id": _special(sizes, 2),
        "rms_norm_eps": 1e-05,
        "rope_scaling": _rope(0.5, 0.125, 1024),
        "rope_theta": 500000,
        "text_vocab_size": sizes.text_vocabulary,
        "tie_codebooks_embeddings": True,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "transformers_version": "4.52.0.dev0",
        "use_cache": True,
        "vocab_size": sizes.vocabulary,
    } | original(sizes) | {"transformers_weights": "transformers.safetensors.index.json"}  # fmt: skip


def ungated_copy(sizes: Sizes) -> Config:
    """`config.json` of eustlb/csm-1b: the same without the fields behind it."""
    config = csm_1b(sizes)
    return {name: value for name, value in config.items() if name not in {*original(sizes), "transformers_weights"}} | {
        "text_vocab_size": sizes.text_vocabulary
    }


def original(sizes: Sizes, backbone: str = "llama-1B", decoder: str = "llama-100M") -> Config:
    """`config.json` of the original code."""
    return {
        "audio_num_codebooks": sizes.codebooks,
        "audio_vocab_size": sizes.vocabulary,
        "backbone_flavor": backbone,
        "decoder_flavor": decoder,
        "text_vocab_size": sizes.text_vocabulary,
    }


def marvis(sizes: Sizes) -> Config:
    """`config.json` of Marvis-AI/marvis-tts-250m-v0.1: both forms at once, without a codec's."""
    config = csm_1b(sizes) | original(sizes, "llama-250M", "llama-60M")
    left_out = {"architectures", "codec_config", "transformers_weights", "transformers_version", "torch_dtype"}
    return {name: value for name, value in config.items() if name not in left_out} | {
        "model_type": "marvis",
        "text_tokenizer": "Marvis-AI/marvis-tts-250m-v0.1",
    }


def mimi(codec: Codec) -> Config:
    """`config.json` of kyutai/mimi."""
    return {
        "architectures": ["MimiModel"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "audio_channels": 1,
        "codebook_dim": codec.inner,
        "codebook_size": codec.codes,
        "compress": 2,
        "dilation_growth_rate": 2,
        "frame_rate": 12.5,
        "head_dim": codec.head_dim,
        "hidden_act": "gelu",
        "hidden_size": codec.width,
        "initializer_range": 0.02,
        "intermediate_size": codec.mlp,
        "kernel_size": 7,
        "last_kernel_size": 3,
        "layer_scale_initial_scale": 0.01,
        "max_position_embeddings": 8000,
        "model_type": "mimi",
        "norm_eps": 1e-05,
        "normalize": False,
        "num_attention_heads": codec.heads,
        "num_filters": codec.filters,
        "num_hidden_layers": codec.layers,
        "num_key_value_heads": codec.heads,
        "num_quantizers": 32,
        "num_residual_layers": 1,
        "num_semantic_quantizers": 1,
        "pad_mode": "constant",
        "residual_kernel_size": 3,
        "rope_theta": 10000.0,
        "sampling_rate": 24000,
        "sliding_window": codec.window,
        "torch_dtype": "float32",
        "trim_right_ratio": 1.0,
        "upsample_groups": codec.width,
        "upsampling_ratios": [8, 6, 5, 4],
        "use_cache": False,
        "use_causal_conv": True,
        "use_conv_shortcut": False,
        "vector_quantization_hidden_dimension": codec.inner,
    }


def generation(sizes: Sizes) -> Config:
    """`generation_config.json` of sesame/csm-1b; top_k is left out, because 50 was the default."""
    return {
        "bos_token_id": _special(sizes, 0),
        "depth_decoder_do_sample": True,
        "depth_decoder_temperature": 0.9,
        "depth_decoder_top_k": 50,
        "do_sample": True,
        "max_new_tokens": 125,
        "pad_token_id": _special(sizes, 2),
        "temperature": 0.9,
        "transformers_version": "4.52.0.dev0",
    }


def adapter(rank: int, alpha: int, **changed: Any) -> Config:
    """`adapter_config.json` as peft 0.21 writes it for a LoRA of the seven projections."""
    return {
        "alora_invocation_tokens": None,
        "alpha_pattern": {},
        "arrow_config": None,
        "auto_mapping": {
            "base_model_class": "CsmForConditionalGeneration",
            "parent_library": "transformers.models.csm.modeling_csm",
        },
        "base_model_name_or_path": "unsloth/csm-1b",
        "bias": "none",
        "corda_config": None,
        "ensure_weight_tying": False,
        "eva_config": None,
        "exclude_modules": None,
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "layer_replication": None,
        "layers_pattern": None,
        "layers_to_transform": None,
        "loftq_config": {},
        "lora_alpha": alpha,
        "lora_bias": False,
        "lora_dropout": 0,
        "megatron_config": None,
        "megatron_core": "megatron.core",
        "modules_to_save": None,
        "peft_type": "LORA",
        "peft_version": "0.21.2",
        "qalora_group_size": 16,
        "r": rank,
        "rank_pattern": {},
        "revision": None,
        "target_modules": ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"],
        "target_parameters": None,
        "task_type": "CAUSAL_LM",
        "trainable_token_indices": None,
        "use_dora": False,
        "use_qalora": False,
        "use_rslora": False,
    } | changed


def _special(sizes: Sizes, index: int) -> int:
    """Return the id of a special token: 128000 and on of Llama's, the first of a small vocabulary."""
    return (128_000 if sizes.text_vocabulary == 128_256 else 0) + index


def _rope(high: float, low: float, original_positions: int) -> Config:
    return {
        "factor": 32.0,
        "high_freq_factor": high,
        "low_freq_factor": low,
        "original_max_position_embeddings": original_positions,
        "rope_type": "llama3",
    }
