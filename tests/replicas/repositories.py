"""Writes replicas of published repositories into folders."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor

from tests.replicas import configs
from tests.replicas.tensors import (
    SMALL,
    Shapes,
    Sizes,
    codec_shapes,
    converted,
    original_shapes,
    random_tensors,
    transformers_shapes,
)

PT = {"format": "pt"}
LLAMA, SMOL = ("<|begin_of_text|>", "<|end_of_text|>"), ("<|im_start|>", "<|im_end|>")
PROMPTS = (
    "conversational_a", "conversational_b", "read_speech_a", "read_speech_b", "read_speech_c", "read_speech_d"
)  # fmt: skip
CUT = "backbone_model.layers.13.mlp.up_proj.weight"
"""The last tensor of csm-1b's first shard."""

CHAT_TEMPLATE = """
{%- for message in messages %}
    {%- if not message['role'] is string or not message['role'].isdigit() %}
        {{- raise_exception("The role is a number") }}
    {%- endif %}
{%- endfor %}

{%- for message in messages %}
    {{- bos_token }}
    {{- '[' + message['role'] + ']' }}
    {{- message['content'][0]['text'] }}
    {{- eos_token }}
    {%- if message['content']|length > 1 %}
        {{- '<|AUDIO|><|audio_eos|>' }}
    {%- endif %}
{%- endfor %}
"""


def write_csm_1b(folder: Path, sizes: Sizes = SMALL, seed: int = 0) -> Path:
    """sesame/csm-1b: two layouts beside each other, a pickle, prompts without texts."""
    own, codec = _tensors(sizes, seed)
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", configs.csm_1b(sizes))
    _write_json(folder / "generation_config.json", configs.generation(sizes))
    write_shards(folder, converted(own, codec, sizes), "transformers", CUT)
    save_file(own, folder / "model.safetensors")
    (folder / "ckpt.pt").write_bytes(pickle.dumps({"model": "never opened"}))
    write_llama_tokenizer(folder, with_template=True)
    (folder / "prompts").mkdir()
    for index, name in enumerate(PROMPTS):
        sound = 0.3 * np.sin(np.arange(44_100 * 3) * (0.02 + 0.005 * index))
        soundfile.write(folder / "prompts" / f"{name}.wav", sound, 44_100)
    return folder


def write_copy(
    folder: Path,
    sizes: Sizes = SMALL,
    seed: int = 0,
    *,
    dtype: torch.dtype = torch.float32,
    shards: bool = False,
    tied: bool = False,
) -> Path:
    """An ungated copy in transformers' layout: one file or numbered shards, any dtype.

    Args:
        tied: leave one of the two equal tables of embeddings out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.to(dtype) for name, tensor in converted(*_tensors(sizes, seed), sizes).items()}
    if tied:
        del tensors["backbone_model.embed_tokens.embed_audio_tokens.weight"]
    _write_json(folder / "config.json", configs.ungated_copy(sizes) | {"torch_dtype": str(dtype).split(".")[1]})
    _write_json(folder / "generation_config.json", configs.generation(sizes))
    if shards:
        write_shards(folder, tensors, "model", list(tensors)[len(tensors) // 4])
    else:
        save_file(tensors, folder / "model.safetensors", PT)
    write_llama_tokenizer(folder, with_template=True)
    return folder


def write_original(folder: Path, sizes: Sizes = SMALL, seed: int = 0, *, tokenizer: bool = True) -> Path:
    """What the original code saves: one file without a codec; fine-tunes bring a tokenizer at best."""
    folder.mkdir(parents=True, exist_ok=True)
    own, _ = _tensors(sizes, seed)
    own["backbone_causal_mask"] = torch.ones(8, 8, dtype=torch.bool).tril()  # a buffer that was saved with them
    _write_json(folder / "config.json", configs.original(sizes))
    save_file(own, folder / "model.safetensors")
    if tokenizer:
        write_llama_tokenizer(folder, with_template=False)
    return folder


def write_marvis(folder: Path, sizes: Sizes, seed: int = 0) -> Path:
    """Marvis-AI/marvis-tts-250m-v0.1: both forms of configuration, the original names, another tokenizer, no codec."""
    folder.mkdir(parents=True, exist_ok=True)
    own, _ = _tensors(sizes, seed)
    _write_json(folder / "config.json", configs.marvis(sizes))
    save_file(own, folder / "model.safetensors", PT)
    write_smol_tokenizer(folder)
    (folder / "prompts").mkdir()
    for name in ("conversational_a", "conversational_b"):
        soundfile.write(folder / "prompts" / f"{name}.wav", 0.3 * np.sin(np.arange(24_000 * 2) * 0.03), 24_000)
        (folder / "prompts" / f"{name}.txt").write_text("This is how I sound when I talk.")
    return folder


def write_mimi(folder: Path, sizes: Sizes = SMALL, seed: int = 0) -> Path:
    """kyutai/mimi."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", configs.mimi(sizes.codec))
    save_file(_tensors(sizes, seed)[1], folder / "model.safetensors", PT)
    return folder


def write_reference(folder: Path, sizes: Sizes, seed: int = 0) -> Path:
    """The conversion of `write_original` or `write_marvis` by transformers' script, to compare with."""
    return write_copy(folder, sizes, seed)


def write_adapter(
    folder: Path, sizes: Sizes, *, rank: int = 4, alpha: int = 8, nested: bool = False, **changed: Any
) -> Path:
    """A LoRA as unsloth's notebook trains it: backbone, depth decoder, and the codec, whose B stayed zero.

    Args:
        nested: name the codec's layers as transformers 5 does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(7)
    targets = tuple(f"{kind}_proj.weight" for kind in ("q", "k", "v", "o", "gate", "up", "down"))
    tensors: dict[str, Tensor] = {}
    for name, (outputs, inputs) in ((n, s) for n, s in transformers_shapes(sizes).items() if n.endswith(targets)):
        codec = name.startswith("codec_model.")
        place = name.removesuffix(".weight")
        if nested and codec:
            for half in ("encoder", "decoder"):
                place = place.replace(f"{half}_transformer", f"{half}.{half}_transformer")
        tensors[f"base_model.model.{place}.lora_A.weight"] = (
            torch.randn(rank, inputs, generator=generator) * inputs**-0.5
        )
        up = torch.randn(outputs, rank, generator=generator) * rank**-0.5
        tensors[f"base_model.model.{place}.lora_B.weight"] = torch.zeros_like(up) if codec else up
    save_file(tensors, folder / "adapter_model.safetensors", PT)
    _write_json(folder / "adapter_config.json", configs.adapter(rank, alpha, **changed))
    return folder


def write_sparse_csm_1b(folder: Path) -> Path:
    """sesame/csm-1b with its real sizes: headers are there, the numbers are holes in the files."""
    sizes = Sizes()
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", configs.csm_1b(sizes))
    _write_json(folder / "generation_config.json", configs.generation(sizes))
    shapes = transformers_shapes(sizes)
    names = list(shapes)
    cut = names.index(CUT) + 1
    shards = {
        "transformers-00001-of-00002.safetensors": names[:cut],
        "transformers-00002-of-00002.safetensors": names[cut:],
    }
    for shard, held in shards.items():
        write_sparse(folder / shard, {name: shapes[name] for name in held}, PT)
    _write_index(folder / "transformers.safetensors.index.json", shards, shapes)
    write_sparse(folder / "model.safetensors", original_shapes(sizes), None)
    write_llama_tokenizer(folder, with_template=True)
    return folder


def write_sparse(path: Path, shapes: Shapes, metadata: dict[str, str] | None) -> None:
    """Write a safetensors file of float32 zeros that takes no room on the disk."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def write_shards(folder: Path, tensors: dict[str, Tensor], stem: str, last: str) -> None:
    """Write two shards, the first up to a tensor, and their index."""
    names = list(tensors)
    cut = names.index(last) + 1 if last in names else len(names) // 2
    shards = {
        f"{stem}-0000{number}-of-00002.safetensors": held for number, held in ((1, names[:cut]), (2, names[cut:]))
    }
    for shard, held in shards.items():
        save_file({name: tensors[name] for name in held}, folder / shard, PT)
    _write_index(folder / f"{stem}.safetensors.index.json", shards, {n: tuple(t.shape) for n, t in tensors.items()})


def write_llama_tokenizer(folder: Path, *, with_template: bool) -> None:
    """A byte-level tokenizer with Llama's special tokens first; `bos $A eos`, as the conversion script sets it."""
    specials = [*LLAMA, "<|AUDIO|>", "<|audio_eos|>"]
    tokenizer = _byte_level(specials)
    begin, end = ((token, tokenizer.token_to_id(token)) for token in LLAMA)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin[0]}:0 $A:0 {end[0]}:0", special_tokens=[begin, end]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    wrapped = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    _write_json(
        folder / "tokenizer_config.json",
        {
            "bos_token": LLAMA[0],
            "eos_token": LLAMA[1],
            "pad_token": LLAMA[1],
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )
    _write_json(
        folder / "special_tokens_map.json",
        {f"{kind}_token": {"content": token} | wrapped for kind, token in zip(("bos", "eos"), LLAMA, strict=True)},
    )
    if with_template:
        (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)


def write_smol_tokenizer(folder: Path) -> None:
    """SmolLM2's: `<|endoftext|>` is 0, a segment stands between `<|im_start|>` and `<|im_end|>`; no chat template."""
    tokenizer = _byte_level(["<|endoftext|>", *SMOL])
    begin, end = ((token, tokenizer.token_to_id(token)) for token in SMOL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin[0]}:0 $A:0 {end[0]}:0", special_tokens=[begin, end]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "tokenizer_class": "GPT2Tokenizer"}
    _write_json(folder / "tokenizer_config.json", named)


def _byte_level(specials: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["hello there, how are you today?", "[0]this is how i sound"] * 9, trainer)
    return tokenizer


def _tensors(sizes: Sizes, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of the original code, and the codec's."""
    return random_tensors(original_shapes(sizes), seed), random_tensors(codec_shapes(sizes.codec), seed + 1)


def _write_index(path: Path, shards: dict[str, list[str]], shapes: Shapes) -> None:
    total = sum(4 * int(np.prod(shapes[name])) for held in shards.values() for name in held)
    places = {name: shard for shard, held in shards.items() for name in held}
    _write_json(path, {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))})


def _write_json(path: Path, what: dict[str, Any]) -> None:
    path.write_text(json.dumps(what, indent=2) + "\n", encoding="utf-8")
