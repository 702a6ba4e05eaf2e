"""Reads tensors from safetensors files, sharded or not, one at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError, safe_open
from torch import Tensor

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.fields import read_json
from csm_plugin.model.weight_files import FileNames, file_names_in

CODEC = "codec_model."
"""What the names of the codec's tensors begin with."""

FLOATS = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2}
"""The kinds of numbers that can be read, and their bytes."""

MAPPED_BYTES = 2**28
"""So much is read through one mapping of a file: what was read stays resident until the mapping is closed."""


class Tensors(Protocol):
    """Tensors by the names that transformers' `CsmForConditionalGeneration` gives them."""

    def __contains__(self, name: str) -> bool: ...

    @property
    def names(self) -> list[str]: ...

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor as stored.

        Raises:
            CheckpointFormatError: it is missing, or not of the `shape` that the configuration demands.
        """
        ...

    def stored(self, name: str) -> Stored:
        """Return how a tensor is stored, without reading it.

        Raises:
            CheckpointFormatError: it is missing.
        """
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """How a tensor is stored: the file, its name there, the kind of its numbers in safetensors' words, its shape."""

    path: Path
    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)

    def check(self, shape: tuple[int, ...] | None) -> None:
        """Make sure that a tensor can be read.

        Raises:
            CheckpointFormatError: it is not of the `shape` that the configuration demands, or holds no floating point.
        """
        if shape is not None and self.shape != shape:
            raise CheckpointFormatError(
                f"{self.path}: tensor {self.name!r} has shape {self.shape}, config.json says {shape}"
            )
        if self.kind not in FLOATS:
            raise CheckpointFormatError(
                f"{self.path}: tensor {self.name!r} is stored as {self.kind}; floating point is needed: "
                f"{', '.join(FLOATS)}"
            )


class Headers:
    """How the tensors of some files are stored, by the names in them.

    Args:
        where: what errors call the files: their folder.
        stored: how each tensor is stored.
    """

    def __init__(self, where: Path, stored: Mapping[str, Stored]) -> None:
        self.where = where
        self._stored = stored

    def __contains__(self, name: str) -> bool:
        return name in self._stored

    @property
    def names(self) -> list[str]:
        return sorted(self._stored)

    def stored(self, name: str) -> Stored:
        """Return how a tensor is stored, without reading it.

        Raises:
            CheckpointFormatError: it is missing.
        """
        if name not in self._stored:
            raise CheckpointFormatError(f"{self.where} lacks the tensor {name!r}; download the checkpoint again")
        return self._stored[name]


class WeightFiles(Headers):
    """The tensors of a checkpoint folder, by the names in its files.

    Nothing is executed, and nothing of a file stays in memory: each `get` copies nothing but maps one tensor, and what
    was mapped is let go soon.

    Args:
        folder: of the checkpoint.
        names: the files to read.

    Raises:
        CheckpointFormatError: a file is missing, corrupt or of another checkpoint.
    """

    def __init__(self, folder: Path, names: FileNames) -> None:
        stored: dict[str, Stored] = {}
        for name in names.files:
            stored.update(_headers(folder / name))
        super().__init__(folder, stored)
        self._open: dict[Path, tuple[Any, int]] = {}
        if names.index is not None:
            self._check_index(folder / names.index)

    @classmethod
    def of(cls, folder: Path, config: Mapping[str, Any]) -> WeightFiles:
        """Open the weights of a checkpoint's folder, which its configuration may name.

        Raises:
            CheckpointFormatError: there are none that can be read, or as above.
        """
        return cls(folder, file_names_in(folder, config))

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor as stored. It is a view of the mapped file: copy it, and let it go.

        Raises:
            CheckpointFormatError: it is missing, or not of the `shape` that the configuration demands.
        """
        stored = self.stored(name)
        stored.check(shape)
        try:
            tensor: Tensor = self._mapped(stored).get_tensor(name)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch's, where there is too little memory to map it
            raise CheckpointFormatError(f"{stored.path}: tensor {name!r} is unreadable ({error})") from error
        return tensor

    def _mapped(self, stored: Stored) -> Any:
        """Return a file that is open, anew from time to time."""
        file, left = self._open.pop(stored.path, (None, 0))
        if file is None or left < 0:
            file, left = safe_open(stored.path, framework="pt"), MAPPED_BYTES
        self._open = {stored.path: (file, left - stored.parameters * FLOATS[stored.kind])}
        return file

    def _check_index(self, index: Path) -> None:
        """Make sure that every shard holds what the index puts there."""
        for name, shard in read_json(index)["weight_map"].items():
            path = index.parent / shard
            if name not in self._stored or self._stored[name].path != path:
                found = f"it is in {self._stored[name].path.name}" if name in self._stored else "no file holds it"
                raise CheckpointFormatError(
                    f"{path} does not hold {name!r}, as {index.name} says it does ({found}): the shard is of another "
                    "checkpoint; download it again"
                )


class TensorsOf:
    """Another's tensors, as they are; what is put around them changes how they are read.

    Args:
        base: the other's.
    """

    def __init__(self, base: Tensors) -> None:
        self._base = base

    def __contains__(self, name: str) -> bool:
        return name in self._base

    @property
    def names(self) -> list[str]:
        return self._base.names

    def stored(self, name: str) -> Stored:
        """Return how a tensor is stored, without reading it.

        Raises:
            CheckpointFormatError: it is missing.
        """
        return self._base.stored(name)

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor as stored.

        Raises:
            CheckpointFormatError: it is missing, or not of the `shape` that the configuration demands.
        """
        return self._base.get(name, shape)


class WithCodec:
    """Tensors of a checkpoint that does not bring its codec, and a codec's.

    Args:
        tensors: the checkpoint's.
        codec: the codec's, under the names that transformers' `MimiModel` gives them.
    """

    def __init__(self, tensors: Tensors, codec: Tensors) -> None:
        self._tensors = tensors
        self._codec = codec

    def __contains__(self, name: str) -> bool:
        holder, name = self._holder(name)
        return name in holder

    @property
    def names(self) -> list[str]:
        others = [name for name in self._tensors.names if not name.startswith(CODEC)]
        return others + [f"{CODEC}{name}" for name in self._codec.names]

    def stored(self, name: str) -> Stored:
        """Return how a tensor is stored, without reading it.

        Raises:
            CheckpointFormatError: it is missing.
        """
        holder, name = self._holder(name)
        return holder.stored(name)

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor as stored.

        Raises:
            CheckpointFormatError: it is missing, or not of the `shape` that the configuration demands.
        """
        holder, name = self._holder(name)
        return holder.get(name, shape)

    def _holder(self, name: str) -> tuple[Tensors, str]:
        return (self._codec, name.removeprefix(CODEC)) if name.startswith(CODEC) else (self._tensors, name)


def parameters(tensors: Tensors) -> int:
    """Count the stored numbers without reading them."""
    return sum(tensors.stored(name).parameters for name in tensors.names)


def _headers(path: Path) -> dict[str, Stored]:
    """Return how the tensors of a file are stored; reads its header only."""
    try:
        with safe_open(path, framework="np") as file:  # torch would map all of it, for which memory may be too small
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
            return {name: Stored(path, name, part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
    except FileNotFoundError as error:
        raise CheckpointFormatError(
            f"{path.parent} lacks the shard {path.name}; download the checkpoint again"
        ) from error
    except (OSError, SafetensorError) as error:
        raise CheckpointFormatError(
            f"{path} is not a readable safetensors file ({error}); download the checkpoint again"
        ) from error
