"""Reads the fields of a configuration file, and says which one is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.rope import Rope, is_positive

LARGEST = 2**31 - 1
"""No tensor of any model is longer in one direction."""


class Fields:
    """The fields of one mapping. A field that is not there, or null, has its default.

    Args:
        raw: the mapping.
        path: the file that it is from.
        prefix: the fields that lead to it there, each with a dot behind it.
    """

    def __init__(self, raw: Mapping[str, Any], path: Path, prefix: str = "") -> None:
        self.raw = raw
        self.path = path
        self.prefix = prefix

    def size(self, name: str, default: int | None) -> int:
        """Return a whole number from 1 to `LARGEST`.

        Raises:
            CheckpointFormatError: it is something else, as for all of these; or it is missing and has no default.
        """
        value = self._get(name, default)
        if not _is_size(value):
            raise self.wrong(name, value, f"it must be a whole number of at least 1, and at most {LARGEST:,}")
        return int(value)

    def sizes(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Return several of them."""
        values = self._get(name, default)
        if not isinstance(values, list | tuple) or not all(map(_is_size, values)):
            raise self.wrong(name, values, f"it must be a list of whole numbers from 1 to {LARGEST:,}")
        return tuple(values)

    def number(self, name: str, default: float) -> float:
        """Return a positive number."""
        value = self._get(name, default)
        if not is_positive(value):
            raise self.wrong(name, value, "it must be a positive number")
        return float(value)

    def rope(self, theta: float) -> Rope:
        """Return the rotary positions."""
        try:
            return Rope.of(self.raw, theta)
        except ValueError as error:
            raise CheckpointFormatError(f"{self.path}: {self.prefix}{error}") from None

    def part(self, name: str) -> Fields:
        """Return the mapping in a field; an empty one if there is none."""
        value = self._get(name, {})
        if not isinstance(value, Mapping):
            raise self.wrong(name, value, "it must be a mapping")
        return Fields(value, self.path, f"{self.prefix}{name}.")

    def require(self, fixed: Mapping[str, object]) -> None:
        """Make sure that fields have the values that the code is made for, if they are there."""
        for name, allowed in fixed.items():
            given = self._get(name, allowed)
            if given != allowed:
                raise self.wrong(name, given, f"only {allowed!r} is supported")

    def wrong(self, name: str, given: object, demand: str) -> CheckpointFormatError:
        """Return the error of a field with a wrong value."""
        return CheckpointFormatError(f"{self.path}: {self.prefix}{name} is {repr(given)[:80]}; {demand}")

    def _get(self, name: str, default: Any) -> Any:
        value = self.raw.get(name)
        return default if value is None else value


def _is_size(value: object) -> bool:
    return type(value) is int and 1 <= value <= LARGEST


def read_json(path: Path) -> Any:
    """Return what a file holds, None if it is not there.

    Raises:
        CheckpointFormatError: it cannot be read as JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointFormatError(
            f"{path} cannot be read as JSON ({error}); download the checkpoint again"
        ) from error
