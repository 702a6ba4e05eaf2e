"""Which files of a checkpoint hold its weights: chosen by names alone, in a folder as on the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from csm_plugin.errors import CheckpointFormatError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_SUFFIX, _INDEX_SUFFIX = ".safetensors", ".safetensors.index.json"
_UNREADABLE = {
    "in a format that can run code and is never opened": (".bin", ".pt", ".pth", ".ckpt", ".pkl"),
    "a GGUF, for llama.cpp and its like; take the repository that it was made from": (".gguf",),
    "made for MLX; take the repository that it was made from": (".npz",),
    "made for another runtime; take the repository that it was made from": (".onnx", ".h5", ".msgpack", ".tflite"),
}
_NAMED_AT_MOST = 4


class IncompleteWeights(CheckpointFormatError):
    """Weights that the checkpoint itself names are not there; `missing` holds their names."""

    def __init__(self, message: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True, slots=True)
class FileNames:
    """The safetensors files that hold a checkpoint's weights, and the index that names them if there is one."""

    files: tuple[str, ...]
    index: str | None = None


def file_names(
    config: Mapping[str, object], names: Collection[str], read_index: Callable[[str], str], where: str
) -> FileNames:
    """Choose the files with the weights, as transformers does.

    What `transformers_weights` of the configuration names comes first, then `model.safetensors`, then
    `model.safetensors.index.json`. No file but the index is read.

    Args:
        config: what config.json holds.
        names: of every file there, relative to the checkpoint's folder, with "/".
        read_index: gives the text of a file of `names`.
        where: the folder or hub id, for messages.

    Raises:
        IncompleteWeights: a file that the configuration or the index names is not there.
        CheckpointFormatError: there is no safetensors file to choose, a name leads out of the folder, or the index is
            corrupt.
    """
    first = _first(config, names, where)
    if not first.endswith(_INDEX_SUFFIX):
        return FileNames((first,))
    shards = _shards(first, read_index, where)
    lacking = tuple(name for name in shards if name not in names)
    if lacking:
        shard = "shard" if len(lacking) == 1 else "shards"
        raise IncompleteWeights(
            f"{where} lacks the {shard} {_listed(lacking)} that {first} names; download the checkpoint again", lacking
        )
    return FileNames(shards, first)


def file_names_in(folder: Path, config: Mapping[str, object]) -> FileNames:
    """Choose the files with the weights in a local folder; see `file_names`."""
    names = {path.relative_to(folder).as_posix() for depth in ("*", "*/*") for path in folder.glob(depth)}
    present = {name for name in names if (folder / name).is_file()}
    return file_names(config, present, lambda name: (folder / name).read_text(encoding="utf-8"), str(folder))


def _first(config: Mapping[str, object], names: Collection[str], where: str) -> str:
    named = config.get("transformers_weights")
    if named is None:
        for name in (SINGLE, INDEX):
            if name in names:
                return name
        raise CheckpointFormatError(_nothing_there(names, where))
    if not isinstance(named, str) or not _inside(named) or not named.endswith((_SUFFIX, _INDEX_SUFFIX)):
        raise CheckpointFormatError(
            f"{where}: config.json names {named!r} in transformers_weights; a plain file name that ends in {_SUFFIX} "
            f"or {_INDEX_SUFFIX} is needed"
        )
    if named not in names:
        raise IncompleteWeights(
            f"{where} lacks {named}, which config.json names in transformers_weights; download the checkpoint again",
            (named,),
        )
    return named


def _shards(index: str, read_index: Callable[[str], str], where: str) -> tuple[str, ...]:
    try:
        shards = set(json.loads(read_index(index))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointFormatError(f"{where}: {index} is corrupt ({told}); download the checkpoint again") from error
    for name in shards:
        if not isinstance(name, str) or not _inside(name) or not name.endswith(_SUFFIX):
            raise CheckpointFormatError(
                f"{where}: {index} names the shard {name!r}; a plain file name that ends in {_SUFFIX} is needed"
            )
    if not shards:
        raise CheckpointFormatError(f"{where}: {index} names no shard at all; download the checkpoint again")
    return tuple(sorted(shards))


def _inside(name: str) -> bool:
    """Whether a name stays in the folder that it is relative to, on every system."""
    parts = name.split("/")
    return (
        name.isprintable()
        and not set(name) & set('\\:*?"<>|')
        and all(part == part.strip() and part not in ("", ".", "..") for part in parts)
    )


def _nothing_there(names: Collection[str], where: str) -> str:
    found = {name: PurePosixPath(name).suffix.lower() for name in sorted(names)}
    others = [name for name, suffix in found.items() if suffix == _SUFFIX and not name.startswith("adapter_")]
    if others:
        return (
            f"{where} holds {_listed(others)} but no {SINGLE} and no {INDEX}; name the file to be read in "
            "config.json's transformers_weights, or rename it"
        )
    hints = []
    for meaning, suffixes in _UNREADABLE.items():
        those = [name for name, suffix in found.items() if suffix in suffixes]
        if those:
            hints.append(f"{_listed(those)} is {meaning}")
    told = f" ({'; '.join(hints)})" if hints else ""
    return f"{where} holds no {SINGLE} and no {INDEX}{told}; convert the weights to safetensors"


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:_NAMED_AT_MOST]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
