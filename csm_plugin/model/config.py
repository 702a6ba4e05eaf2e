"""What the model code needs to know of a checkpoint, and how transformers' form of `config.json` says it."""

from __future__ import annotations

from dataclasses import dataclass

from csm_plugin.model.fields import Fields
from csm_plugin.model.flavours import backbone_flavour
from csm_plugin.model.generation import Generation, read_generation
from csm_plugin.model.mimi.config import MAX_FRAMES, CodecConfig, read_codec_config
from csm_plugin.model.rope import Rope
from csm_plugin.model.transformer import TransformerShape
from csm_plugin.settings import VoiceStyle

THETA = 500_000.0
FIXED_TRANSFORMER: dict[str, object] = {"attention_bias": False, "mlp_bias": False, "hidden_act": "silu"}
FIXED_BACKBONE: dict[str, object] = FIXED_TRANSFORMER | {"codebook_eos_token_id": 0}

CSM_1B = TransformerShape(16, 2048, 32, 8, 64, 8192, 2048, 1e-5, Rope(THETA))
CSM_1B_DEPTH = TransformerShape(4, 1024, 8, 2, 128, 8192, 33, 1e-5, Rope(THETA))
"""The sizes that a configuration means which leaves them out."""
CODEBOOKS, VOCABULARY, TEXT_VOCABULARY = 32, 2051, 128_256


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What the model code needs to know of a checkpoint."""

    backbone: TransformerShape
    depth: TransformerShape
    codebooks: int
    vocabulary: int  # ids per codebook in the checkpoint's tables
    text_vocabulary: int
    codec: CodecConfig
    generation: Generation
    voice_style: VoiceStyle = "context"  # how it follows a voice prompt for which nobody says it
    spaced: bool = False  # a space stands between `[speaker]` and the text
    tied: bool = True  # backbone and depth decoder share the embeddings of codes, so that one table is enough

    @property
    def codebook_size(self) -> int:
        """Codes that the codec knows; heads and embeddings may have a few more ids."""
        return self.codec.codebook_size


def read_transformers_config(fields: Fields, codec: CodecConfig | None = None) -> ModelConfig:
    """Read a `config.json` of `model_type` "csm". What it leaves out is CSM-1B's, as in transformers.

    Args:
        codec: in place of what it says of a codec.

    Raises:
        CheckpointFormatError: a value is of the wrong kind, or not supported.
    """
    fields.require(FIXED_BACKBONE)
    depth = fields.part("depth_decoder_config")
    depth.require(FIXED_TRANSFORMER)
    codebooks = fields.size("num_codebooks", CODEBOOKS)
    vocabulary = fields.size("vocab_size", VOCABULARY)
    backbone = _shape(fields, CSM_1B)
    depth.require({"num_codebooks": codebooks, "vocab_size": vocabulary, "backbone_hidden_size": backbone.width})
    return complete_config(
        fields,
        backbone=backbone,
        depth=_shape(depth, CSM_1B_DEPTH),
        codebooks=codebooks,
        vocabulary=vocabulary,
        text_vocabulary=fields.size("text_vocab_size", TEXT_VOCABULARY),
        codec=read_codec_config(fields.part("codec_config")) if codec is None else codec,
    )


def complete_config(
    fields: Fields,
    *,
    backbone: TransformerShape,
    depth: TransformerShape,
    codebooks: int,
    vocabulary: int,
    text_vocabulary: int,
    codec: CodecConfig,
) -> ModelConfig:
    """Return a configuration with what the generation config and the flavour say, once its parts fit together.

    Raises:
        CheckpointFormatError: they do not, or the generation config makes no sense.
    """
    generation = read_generation(fields.path.parent, backbone)
    flavour = backbone_flavour(fields.raw.get("backbone_flavor"), backbone)
    config = ModelConfig(
        backbone,
        depth,
        codebooks,
        vocabulary,
        text_vocabulary,
        codec,
        generation,
        voice_style=generation.voice_style or flavour.voice_style,
        spaced=flavour.spaced,
        tied=fields.raw.get("tie_codebooks_embeddings") is not False,
    )
    if config.vocabulary < config.codebook_size:
        raise fields.wrong("vocab_size", config.vocabulary, f"the codec has {config.codebook_size} codes")
    if config.codec.num_quantizers != config.codebooks:
        raise fields.wrong("num_codebooks", config.codebooks, f"the codec has {config.codec.num_quantizers}")
    return config


def _shape(fields: Fields, default: TransformerShape) -> TransformerShape:
    width = fields.size("hidden_size", default.width)
    heads = fields.size("num_attention_heads", default.heads)
    kv_heads = fields.size("num_key_value_heads", default.kv_heads)
    if heads % kv_heads:
        raise fields.wrong("num_key_value_heads", kv_heads, f"it must divide the {heads} attention heads")
    head_dim = fields.size("head_dim", width // heads)
    if head_dim % 2:
        raise fields.wrong("head_dim", head_dim, "it must be even")
    return TransformerShape(
        layers=fields.size("num_hidden_layers", default.layers),
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        mlp_width=fields.size("intermediate_size", default.mlp_width),
        positions=min(fields.size("max_position_embeddings", default.positions), MAX_FRAMES),
        norm_eps=fields.number("rms_norm_eps", default.norm_eps),
        rope=fields.rope(THETA),
    )
