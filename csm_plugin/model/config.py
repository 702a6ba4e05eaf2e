"""The sizes of a CSM checkpoint, read from its `config.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import CsmConfig, MimiConfig, PretrainedConfig
from transformers.models.csm.modeling_csm import CsmRotaryEmbedding
from transformers.models.mimi.modeling_mimi import MimiRotaryEmbedding

from csm_plugin.errors import CheckpointFormatError, SettingsError
from csm_plugin.model.transformer import TransformerShape, rotation_table
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ, VOICE_STYLES, Sampling, VoiceStyle

TEMPERATURE, TOP_K = 0.9, 50  # the reference implementation's, for a checkpoint that says nothing
FIXED_CSM = {"attention_bias": False, "mlp_bias": False, "hidden_act": "silu", "codebook_eos_token_id": 0}
FIXED_MIMI = {
    "attention_bias": False,
    "audio_channels": 1,
    "hidden_act": "gelu",
    "num_semantic_quantizers": 1,
    "pad_mode": "constant",
    "sampling_rate": SAMPLE_RATE_HZ,
    "trim_right_ratio": 1.0,
    "use_causal_conv": True,
    "use_conv_shortcut": False,
}


COLDEST = 1e-3
"""Colder than that nothing but the likeliest is drawn, and its inverse would soon be beyond float32."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What the model code needs to know of a checkpoint."""

    backbone: TransformerShape
    depth: TransformerShape
    codebooks: int
    codebook_size: int  # codes that the codec knows; heads and embeddings may have a few more ids
    vocabulary: int  # ids per codebook in the checkpoint's tables
    alignment_heads: tuple[tuple[int, int], ...]  # (layer, head) of the backbone that look at what is being spoken
    temperature: float  # where nobody says otherwise
    top_k: int
    voice_style: VoiceStyle  # how a voice prompt is followed that does not say
    csm: CsmConfig
    mimi: MimiConfig

    @property
    def frame_samples(self) -> int:
        return int(self.mimi.frame_size)

    def drawing(self, sampling: Sampling) -> tuple[float, int]:
        """Return temperature and top-k of an utterance; greedy is (0, 1)."""
        temperature = self.temperature if sampling.temperature is None else sampling.temperature
        top_k = self.top_k if sampling.top_k is None else sampling.top_k
        return (temperature, top_k) if temperature >= COLDEST else (0.0, 1)


def read_config(folder: Path) -> ModelConfig:
    """Read and check `config.json`, and what `generation_config.json` says of alignment heads, sampling and voices.

    Raises:
        CheckpointFormatError: a file is missing, unreadable, not a CSM's, or of a shape that is not supported.
    """
    path = folder / "config.json"
    raw = _read_json(path)
    if raw is None:
        raise CheckpointFormatError(f"{folder} holds no config.json; pass the folder of a Hugging Face CSM checkpoint")
    if not isinstance(raw, dict) or raw.get("model_type") != "csm":
        kind = raw.get("model_type") if isinstance(raw, dict) else type(raw).__name__
        raise CheckpointFormatError(f"{path} describes model_type {kind!r}; only 'csm' can be loaded")
    try:
        csm = CsmConfig.from_dict(raw)
    except Exception as error:  # transformers raises whatever its own checks raise
        raise CheckpointFormatError(f"{path} is not a valid CSM configuration: {error}") from error
    mimi = csm.codec_config
    _require(path, "", csm, FIXED_CSM)
    _require(path, "depth_decoder_config.", csm.depth_decoder_config, {k: FIXED_CSM[k] for k in list(FIXED_CSM)[:3]})
    _require(path, "codec_config.", mimi, FIXED_MIMI)
    _require(path, "codec_config.", mimi, {"num_quantizers": csm.num_codebooks, "frame_size": FRAME_SAMPLES})
    generation = folder / "generation_config.json"
    own = _own_sampling(generation)
    return ModelConfig(
        backbone=_shape(csm),
        depth=_shape(csm.depth_decoder_config),
        codebooks=csm.num_codebooks,
        codebook_size=mimi.codebook_size,
        vocabulary=csm.vocab_size,
        alignment_heads=_alignment_heads(generation, _shape(csm)),
        temperature=TEMPERATURE if own.temperature is None else own.temperature,
        top_k=TOP_K if own.top_k is None else own.top_k,
        voice_style=_voice_style(generation),
        csm=csm,
        mimi=mimi,
    )


def csm_rotation(config: PretrainedConfig, positions: int) -> Tensor:
    """Return the rotary table of the backbone or depth decoder, with the checkpoint's own scaling."""
    rotary = CsmRotaryEmbedding(config)
    return rotation_table(rotary.inv_freq, rotary.attention_scaling, positions)


def mimi_rotation(config: MimiConfig, positions: int) -> Tensor:
    """Return the rotary table of the codec's transformers."""
    rotary = MimiRotaryEmbedding(config)
    return rotation_table(rotary.inv_freq, rotary.attention_scaling, positions)


def _read_json(path: Path) -> Any:
    """Return what a file holds, None if it is not there."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CheckpointFormatError(
            f"{path} cannot be read as JSON ({error}); download the checkpoint again"
        ) from error


def _alignment_heads(path: Path, backbone: TransformerShape) -> tuple[tuple[int, int], ...]:
    """Return the heads that a generation config names, as Whisper's do, and check that there are such heads."""
    raw = _read_json(path)
    heads = raw.get("alignment_heads") if isinstance(raw, dict) else None
    if heads is None or heads == []:
        return ()
    limits = (backbone.layers, backbone.heads)
    pairs = [tuple(pair) for pair in heads if isinstance(pair, list)] if isinstance(heads, list) else []
    valid = [pair for pair in pairs if len(pair) == 2 and all(map(_is_index, pair, limits))]
    if not valid or len(set(valid)) != len(heads):
        raise CheckpointFormatError(
            f"{path}: alignment_heads is {heads!r}; it must be a list of different [layer, head] with layers from 0 to "
            f"{limits[0] - 1} and heads from 0 to {limits[1] - 1}; correct it, or leave it out"
        )
    return tuple((layer, head) for layer, head in valid)


def _voice_style(path: Path) -> VoiceStyle:
    """Return how a generation config says that voice prompts are followed."""
    raw = _read_json(path)
    given = raw.get("voice_prompt_style", "context") if isinstance(raw, dict) else "context"
    style = next((style for style in VOICE_STYLES if style == given), None)
    if style is None:
        raise CheckpointFormatError(
            f"{path}: voice_prompt_style is {given!r}; it must be 'context' or 'continue'; correct it, or leave it out"
        )
    return style


def _own_sampling(path: Path) -> Sampling:
    """Return how a generation config wants codes to be drawn."""
    raw = _read_json(path)
    said = raw if isinstance(raw, dict) else {}
    try:
        return Sampling(temperature=said.get("temperature"), top_k=said.get("top_k"))
    except SettingsError as error:
        raise CheckpointFormatError(f"{path}: {error}; correct it, or leave it out") from None


def _is_index(value: object, size: int) -> bool:
    return type(value) is int and 0 <= value < size


def _shape(config: PretrainedConfig) -> TransformerShape:
    return TransformerShape(
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        mlp_width=config.intermediate_size,
        positions=config.max_position_embeddings,
        norm_eps=config.rms_norm_eps,
    )


def _require(path: Path, prefix: str, config: PretrainedConfig, fixed: dict[str, object]) -> None:
    for name, allowed in fixed.items():
        given = getattr(config, name)
        if given != allowed:
            raise CheckpointFormatError(f"{path}: {prefix}{name} is {given!r}; only {allowed!r} is supported")
