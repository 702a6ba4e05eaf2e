"""Which files of a repository are needed, and which of them a snapshot lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Literal

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.weight_files import SINGLE, IncompleteWeights, file_names, file_names_in

Kind = Literal["model", "codec", "tokenizer", "adapter"]
"""What a repository is fetched as: each takes other files of it."""

CONFIG = "config.json"
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
)
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
_EXTRAS: dict[Kind, tuple[str, ...]] = {
    "model": ("generation_config.json", *_TOKENIZER),
    "codec": (),
    "tokenizer": _TOKENIZER,
    "adapter": (),
}
_NEEDED: dict[Kind, tuple[str, ...]] = {
    "model": (CONFIG,),
    "codec": (CONFIG,),
    "tokenizer": ("tokenizer.json",),
    "adapter": _ADAPTER,
}
_SOUNDS = re.compile(r"prompts/[^/]+\.(wav|txt)|voices/[^/]+\.(wav|flac|txt)", re.IGNORECASE)


def wanted_files(kind: Kind, names: Collection[str], read: Callable[[str], str], where: str) -> list[str]:
    """Return the names of the files to fetch, the weights last: where they are, all else is.

    Args:
        kind: what the repository is fetched as.
        names: of every file in the repository.
        read: gives the text of one of them; asked for the configuration and an index of weights only.
        where: the hub id, for messages.

    Raises:
        CheckpointFormatError: a file that is needed is not in the repository, or the configuration or the index of the
            weights is corrupt.
    """
    lacking = [name for name in _NEEDED[kind] if name not in names]
    if lacking and not _weights_alone(kind, names):
        raise CheckpointFormatError(_lacks(kind, lacking, names, where))
    wanted = [name for name in (*_EXTRAS[kind], *_NEEDED[kind]) if name in names]
    if kind in ("model", "codec"):
        config = read_mapping(read(CONFIG), f"{where}: {CONFIG}") if CONFIG in names else {}
        weights = file_names(config, names, read, where)
        sounds = sorted(name for name in names if kind == "model" and _SOUNDS.fullmatch(name))
        wanted += [*sounds, *([weights.index] if weights.index else []), *weights.files]
    return list(dict.fromkeys(wanted))


def missing(folder: Path, kind: Kind) -> list[str]:
    """Return the names of files without which a local snapshot is of no use; none if it is complete.

    Raises:
        CheckpointFormatError: the configuration or the index of the weights is corrupt.
    """
    lacking = [name for name in _NEEDED[kind] if not (folder / name).is_file()]
    if kind in ("tokenizer", "adapter"):
        return lacking
    if lacking:
        return [] if _weights_alone(kind, [path.name for path in folder.glob("*")]) else lacking
    config = read_mapping_in(folder / CONFIG)
    try:
        file_names_in(folder, config)
    except IncompleteWeights as error:
        return list(error.missing)
    except CheckpointFormatError:
        if any(folder.glob("*.safetensors*")):
            raise
        return [SINGLE]
    return []


def read_mapping_in(path: Path) -> Mapping[str, object]:
    """Read the JSON object that a file holds.

    Raises:
        CheckpointFormatError: it holds none, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointFormatError(f"{path} cannot be read as JSON ({error}); download it again") from error
    return read_mapping(text, str(path))


def read_mapping(text: str, where: str) -> Mapping[str, object]:
    """Read a JSON object.

    Raises:
        CheckpointFormatError: it is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointFormatError(f"{where} cannot be read as JSON ({error}); download it again") from error
    if not isinstance(found, dict):
        raise CheckpointFormatError(f"{where} holds a {type(found).__name__}; a JSON object is needed")
    return found


def _weights_alone(kind: Kind, names: Collection[str]) -> bool:
    """Whether it may be one of those models whose sizes stand in their own program, and not in a configuration."""
    return kind == "model" and SINGLE in names


def _lacks(kind: Kind, lacking: list[str], names: Collection[str], where: str) -> str:
    told = f"{where} holds no {' and no '.join(lacking)}"
    if kind == "model" and _ADAPTER[0] in names:
        return f"{told}: it is an adapter; load the model that it was made for, with this as its adapter"
    if kind == "model" and any(name.lower().endswith(".gguf") for name in names):
        return f"{told}: it holds a GGUF, for llama.cpp and its like; take the repository that it was made from"
    return f"{told}; a {kind} needs {', '.join(_NEEDED[kind])}"
