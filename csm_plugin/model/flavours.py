"""The published sizes of CSM's family, under the names that its original code gives them.

Source: `models.py` of SesameAILabs' csm, of Marvis-Labs' marvis-tts and of MisoLabsAI's MisoTTS.
"""

from __future__ import annotations

from dataclasses import dataclass

from csm_plugin.model.transformer import TransformerShape
from csm_plugin.settings import VoiceStyle


@dataclass(frozen=True, slots=True)
class Flavour:
    """Sizes of one transformer, and what models with it as their backbone were trained to read.

    Args:
        voice_style: how they follow a voice prompt.
        spaced: a space stands between `[speaker]` and the text.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    voice_style: VoiceStyle = "context"
    spaced: bool = False

    def is_of(self, shape: TransformerShape) -> bool:
        """Whether a transformer has these sizes."""
        sizes = (shape.layers, shape.width, shape.heads, shape.kv_heads, shape.head_dim, shape.mlp_width)
        return sizes == (self.layers, self.width, self.heads, self.kv_heads, self.head_dim, self.mlp_width)


BACKBONES = {
    "llama-1B": Flavour(16, 2048, 32, 8, 64, 8192),
    "llama-250M": Flavour(6, 1536, 12, 3, 128, 8192, voice_style="continue"),
    "llama-8B": Flavour(32, 4096, 32, 8, 128, 14_336, spaced=True),
}
DEPTHS = {
    "llama-100M": Flavour(4, 1024, 8, 2, 128, 8192),
    "llama-60M": Flavour(4, 1024, 8, 2, 128, 4096),
    "llama-300M": Flavour(8, 1536, 24, 6, 64, 6912),
}
PLAIN = BACKBONES["llama-1B"]


def backbone_flavour(name: object, shape: TransformerShape) -> Flavour:
    """Return a backbone's flavour by its name or, without a known one, by its sizes; CSM-1B's if it is none of them."""
    if isinstance(name, str) and name in BACKBONES:
        return BACKBONES[name]
    return next((flavour for flavour in BACKBONES.values() if flavour.is_of(shape)), PLAIN)
