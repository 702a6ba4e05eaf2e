"""How large csm-tiny is: the configurations of its codec and its language model."""

from transformers import CsmConfig, CsmDepthDecoderConfig, MimiConfig

from training.tokens import AUDIO, AUDIO_EOS, BEGIN, NUMBER, PAD, VOCABULARY

CODEBOOKS = 10
CODES = 512  # a codebook
VECTOR = 64  # dimensions of a code
FRAME_RATE_HZ = 12.5
FRAME_SAMPLES = 1_920
_AUDIO_VOCABULARY = CODES + 3  # as CSM-1B: two unused ids, and the pad id last
_ROPE = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0}  # as CSM-1B has it
_BACKBONE_ROPE = {**_ROPE, "high_freq_factor": 0.5, "low_freq_factor": 0.125, "original_max_position_embeddings": 1024}
_DEPTH_ROPE = {
    **_ROPE,
    "high_freq_factor": 0.0078125,
    "low_freq_factor": 0.001953125,
    "original_max_position_embeddings": CODEBOOKS,
}


def codec_config() -> MimiConfig:
    """Mimi at 12.5 frames a second, with 10 codebooks of 512."""
    return MimiConfig(
        num_filters=16,
        hidden_size=256,
        num_hidden_layers=2,
        intermediate_size=512,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=64,
        sliding_window=32,
        codebook_size=CODES,
        codebook_dim=VECTOR,
        vector_quantization_hidden_dimension=VECTOR,
        num_quantizers=CODEBOOKS,
        num_semantic_quantizers=1,
        upsample_groups=256,
        layer_scale_initial_scale=0.3,
        max_position_embeddings=8000,
    )


def language_config() -> CsmConfig:
    """CSM: a backbone of 5 layers of 256 and a depth decoder of 2 layers of 192, over that codec."""
    return CsmConfig(
        num_codebooks=CODEBOOKS,
        vocab_size=_AUDIO_VOCABULARY,
        text_vocab_size=len(VOCABULARY),
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=2048,
        rope_parameters=dict(_BACKBONE_ROPE),
        pad_token_id=NUMBER[PAD],
        bos_token_id=NUMBER[BEGIN],
        eos_token_id=None,
        codebook_pad_token_id=_AUDIO_VOCABULARY - 1,
        codebook_eos_token_id=0,
        audio_token_id=NUMBER[AUDIO],
        audio_eos_token_id=NUMBER[AUDIO_EOS],
        tie_codebooks_embeddings=True,
        codec_config=codec_config(),
        depth_decoder_config=CsmDepthDecoderConfig(
            num_codebooks=CODEBOOKS,
            backbone_hidden_size=256,
            vocab_size=_AUDIO_VOCABULARY,
            hidden_size=192,
            intermediate_size=384,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=3,
            head_dim=64,
            max_position_embeddings=CODEBOOKS + 1,
            rope_parameters=dict(_DEPTH_ROPE),
        ),
    )
