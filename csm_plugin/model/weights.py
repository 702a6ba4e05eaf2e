"""Reads tensors from safetensors files, sharded or not, one at a time."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from csm_plugin.errors import CheckpointFormatError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


class WeightFiles:
    """The tensors of a checkpoint folder, by name.

    Nothing is executed and nothing is kept: each `get` reads one tensor from the mapped file.

    Raises:
        CheckpointFormatError: no safetensors there, a shard is missing or corrupt.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = {}
        for path in self._shards():
            try:
                shard = safe_open(path, framework="pt")
                names = list(shard.keys())
            except (OSError, SafetensorError) as error:
                raise CheckpointFormatError(
                    f"{path} is not a readable safetensors file ({error}); download the checkpoint again"
                ) from error
            self._files.update(dict.fromkeys(names, shard))

    def __contains__(self, name: str) -> bool:
        return name in self._files

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor as stored.

        Raises:
            CheckpointFormatError: it is missing, or not of the `shape` that the configuration demands.
        """
        if name not in self._files:
            raise CheckpointFormatError(f"{self.folder} lacks the tensor {name!r}; download the checkpoint again")
        try:
            tensor: Tensor = self._files[name].get_tensor(name)
        except SafetensorError as error:
            raise CheckpointFormatError(f"{self.folder}: tensor {name!r} is unreadable ({error})") from error
        if shape is not None and tuple(tensor.shape) != shape:
            raise CheckpointFormatError(
                f"{self.folder}: tensor {name!r} has shape {tuple(tensor.shape)}, config.json says {shape}"
            )
        if not tensor.dtype.is_floating_point:
            raise CheckpointFormatError(f"{self.folder}: tensor {name!r} is {tensor.dtype}; floating point is needed")
        return tensor

    def parameters(self) -> int:
        """Count the stored numbers without reading them."""
        sizes = (self._files[name].get_slice(name).get_shape() for name in self._files)
        return sum(int(torch.Size(size).numel()) for size in sizes)

    def _shards(self) -> list[Path]:
        index = self.folder / INDEX
        if index.is_file():
            try:
                names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
                raise CheckpointFormatError(f"{index} is corrupt ({error}); download the checkpoint again") from error
            for name in names:
                if not isinstance(name, str) or Path(name).name != name:
                    raise CheckpointFormatError(f"{index} names the shard {name!r}; a plain file name is needed")
                if not (self.folder / name).is_file():
                    raise CheckpointFormatError(f"{self.folder} lacks the shard {name}; download the checkpoint again")
            return [self.folder / name for name in names]
        if (self.folder / SINGLE).is_file():
            return [self.folder / SINGLE]
        found = sorted(p.name for p in self.folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".ckpt"})
        hint = f" ({', '.join(found)} is in a format that can run code and is never opened)" if found else ""
        raise CheckpointFormatError(
            f"{self.folder} holds no {SINGLE} and no {INDEX}{hint}; convert the weights to safetensors"
        )
