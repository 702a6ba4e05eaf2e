"""Files of a stage: written whole or not at all, and never unpickled."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from training.errors import CorruptFile, MissingInput, TrainingError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there once it is on the disk.

    Raises:
        TrainingError: the disk is full or the folder cannot be written; what was there before is still whole.
    """
    beside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise TrainingError(f"{path} could not be written ({error.strerror}); free some space and resume.") from error


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically."""
    write_bytes(path, json.dumps(value).encode())


def read_json(path: Path, made_by: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        made_by: the stage that writes it, for the message.

    Raises:
        MissingInput: the file is not there.
        CorruptFile: it is not JSON.
    """
    require(path, made_by)
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise CorruptFile(f"{path} is damaged. Delete it and run the stage {made_by!r} again.") from error


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array as .npy, atomically."""
    beside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise TrainingError(f"{path} could not be written ({error.strerror}); free some space and resume.") from error


def read_array(path: Path, made_by: str) -> np.ndarray:
    """Map an .npy file into memory, read-only.

    Raises:
        MissingInput: the file is not there.
        CorruptFile: it is not a whole .npy file.
    """
    require(path, made_by)
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise CorruptFile(f"{path} is damaged. Delete it and run the stage {made_by!r} again.") from error


def require(path: Path, made_by: str) -> Path:
    """The path, if it exists.

    Raises:
        MissingInput: it does not; the message names the stage to run.
    """
    if not path.exists():
        raise MissingInput(
            f"{path} does not exist. Run the stage that makes it first: "
            f"python -m training {made_by} --folder {path.parent}"
        )
    return path


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors as safetensors with a JSON note inside, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(plain, metadata={"about": json.dumps(dict(about))}))


def load_tensors(path: Path, made_by: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Returns:
        The tensors, on the CPU, and the note.

    Raises:
        MissingInput: the file is not there.
        CorruptFile: it is not a whole safetensors file.
    """
    require(path, made_by)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        return load_file(path), json.loads(header.get("__metadata__", {}).get("about", "{}"))
    except (SafetensorError, ValueError, MemoryError) as error:
        raise CorruptFile(f"{path} is damaged. Delete it and run the stage {made_by!r} again.") from error


class Stopwatch:
    """Minutes of work: a pause of the whole process counts for at most a few seconds."""

    def __init__(self, minutes: float, longest_step_s: float = 20.0) -> None:
        self._left_s = minutes * 60.0
        self._longest_step_s = longest_step_s
        self._last = time.monotonic()

    def tick(self) -> bool:
        """Count the time since the last tick; False once the minutes are spent."""
        now = time.monotonic()
        self._left_s -= min(now - self._last, self._longest_step_s)
        self._last = now
        return self._left_s > 0.0


class Reminder:
    """Says, now and then, that it is time to save."""

    def __init__(self, every_s: float = 180.0) -> None:
        self._every_s = every_s
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the time is up; if so, it begins anew."""
        now = time.monotonic()
        if now - self._last < self._every_s:
            return False
        self._last = now
        return True
