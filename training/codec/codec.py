"""The codec put together: codebooks, encoder and decoder as transformers' Mimi."""

from pathlib import Path

import torch
from torch import nn
from transformers import MimiModel

from training import files
from training.codec.codebooks import Coder, load_coder
from training.errors import CorruptFile
from training.sizes import codec_config

_AVERAGE = "average."


def load_codec(folder: Path) -> MimiModel:
    """The codec as far as it is trained; without an encoder's state its encoder is random.

    Raises:
        MissingInput: there are no codebooks, or no decoder.
        CorruptFile: a file is damaged or of other sizes.
    """
    codec = MimiModel(codec_config())
    place_codebooks(codec, load_coder(folder))
    _put(codec, folder / "decoder.safetensors", "decoder")
    if (folder / "encoder.safetensors").exists():
        _put(codec, folder / "encoder.safetensors", "encoder")
    return codec.eval()


@torch.no_grad()
def place_codebooks(codec: MimiModel, coder: Coder) -> None:
    """Give a new quantiser, which has not computed with any yet, its vectors."""
    quantizer = codec.quantizer
    halves = quantizer.semantic_residual_vector_quantizer, quantizer.acoustic_residual_vector_quantizer
    layers = [layer.codebook for half in halves for layer in half.layers]
    for book, vectors in zip(layers, coder.books, strict=True):
        book.embed_sum.copy_(vectors)
        book.cluster_usage.fill_(1.0)


def decoder_modules(codec: MimiModel) -> nn.ModuleDict:
    """What the decoder stage trains."""
    return nn.ModuleDict(
        {
            "semantic": codec.quantizer.semantic_residual_vector_quantizer.output_proj,
            "acoustic": codec.quantizer.acoustic_residual_vector_quantizer.output_proj,
            "decoder": codec.decoder,
        }
    )


def encoder_modules(codec: MimiModel) -> nn.ModuleDict:
    """What the encoder stage trains."""
    return nn.ModuleDict(
        {
            "semantic": codec.quantizer.semantic_residual_vector_quantizer.input_proj,
            "acoustic": codec.quantizer.acoustic_residual_vector_quantizer.input_proj,
            "encoder": codec.encoder,
        }
    )


def _put(codec: MimiModel, path: Path, stage: str) -> None:
    tensors, _ = files.load_tensors(path, stage)
    modules = decoder_modules(codec) if stage == "decoder" else encoder_modules(codec)
    parameters = dict(modules.named_parameters())
    own = {
        name.removeprefix(_AVERAGE).replace("/", "."): value
        for name, value in tensors.items()
        if name.startswith(_AVERAGE) and name != f"{_AVERAGE}steps"
    }
    try:
        with torch.no_grad():
            for name, value in own.items():
                parameters[name].copy_(value)
    except (KeyError, RuntimeError) as error:
        raise CorruptFile(f"{path} does not fit the codec: it was made with other sizes ({error})") from error
