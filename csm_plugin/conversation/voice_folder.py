"""Folders of voices: `name.wav` or `name.flac` beside `name.txt`; and the one that is the user's own."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from loguru import logger
from platformdirs import user_data_dir

from csm_plugin.audio.files import write_wav
from csm_plugin.audio.pcm import Pcm
from csm_plugin.errors import AudioError, VoiceError
from csm_plugin.settings import SAMPLE_RATE_HZ, VoiceStyle

SUFFIXES: Final = (".wav", ".flac")
ALL_SUFFIXES: Final = (*SUFFIXES, ".txt", ".json")
"""Of the files that a voice may have."""

WRITTEN: Final = (".wav", ".json", ".txt")
"""Of the files of a voice that is added, in their order: with its text it is a voice. Its style has one only where
it is named."""

VOICE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def own_folder() -> Path | None:
    """Return the folder of the user's own voices: `CSM_VOICES`, else in the user's data directory.

    It need not be there. None if nothing is named and the user has no home.
    """
    named = os.environ.get("CSM_VOICES")
    if named:
        return Path(os.path.expanduser(named))
    data = Path(user_data_dir("csm-plugin", appauthor=False))
    return data / "voices" if data.is_absolute() else None


def recordings_in(folder: Path) -> dict[str, Path]:
    """Return a folder's recordings by the names of their voices; none if it is not there or cannot be read."""
    try:
        paths = sorted(folder.iterdir(), key=lambda path: SUFFIXES.index(path.suffix) if path.suffix in SUFFIXES else 9)
    except FileNotFoundError:
        return {}
    except OSError as error:
        logger.warning("a folder of voices cannot be read", folder=str(folder), reason=error.strerror)
        return {}
    found: dict[str, Path] = {}
    for path in paths:
        if path.suffix in SUFFIXES and VOICE_NAME.fullmatch(path.stem):
            found.setdefault(path.stem, path)
    return found


def write_text_to(file: Path) -> str:
    """Say what makes a voice of a recording that has no text."""
    return f"write what is said in it, word for word, to {file}"


def check_voice_name(name: str) -> str:
    """Return a name that a voice may have.

    Raises:
        VoiceError: it may not.
    """
    if not VOICE_NAME.fullmatch(name):
        raise VoiceError("a voice's name has 1 to 64 letters, digits, _ and -, and begins with a letter or digit")
    return name


class VoiceFolder:
    """A folder of voices that can be added and removed. Files that lead out of it are no voices.

    Args:
        path: made when the first voice is added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def recordings(self) -> dict[str, Path]:
        """The recordings of its voices, by name."""
        found = recordings_in(self.path)
        return {name: path for name, path in found.items() if self._has_text(name) and self.holds(name)}

    @property
    def wordless(self) -> dict[str, Path]:
        """Its recordings that would be voices if their texts were beside them, by name."""
        found = recordings_in(self.path)
        return {name: path for name, path in found.items() if not self._has_text(name) and self.holds(name)}

    def holds(self, name: str) -> bool:
        """Whether a voice's files are really in the folder, and no links that lead out of it; reads no folder."""
        folder = os.path.realpath(self.path)  # unlike Path.resolve it takes links that lead in a circle
        return all(Path(os.path.realpath(path)).is_relative_to(folder) for path in self._files(name, ALL_SUFFIXES))

    def add(self, name: str, text: str, pcm: Pcm, *, style: VoiceStyle | None = None, replace: bool = False) -> None:
        """Keep a voice: all its files or, after an error, none. Blocks.

        Args:
            text: what is said.
            pcm: float32 [samples], mono, 24 kHz.
            style: how it is followed; None leaves that to the checkpoint.
            replace: whether it takes the place of one of that name.

        Raises:
            VoiceError: the name cannot be one or is taken, or the folder cannot be written to.
        """
        check_voice_name(name)
        if not replace and any(os.path.lexists(path) for path in self._files(name, SUFFIXES)):
            raise VoiceError(f"there is a voice {name!r} in {self.path}; remove it first, or choose another name")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self._part() as part:
                write_wav(part.with_suffix(".wav"), pcm, SAMPLE_RATE_HZ)
                part.with_suffix(".txt").write_text(text, encoding="utf-8")
                if style is not None:
                    part.with_suffix(".json").write_text(json.dumps({"style": style}), encoding="utf-8")
                self._move_in(part, name)
        except (OSError, AudioError) as error:
            reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            raise VoiceError(
                f"the voice {name!r} cannot be kept in {self.path} ({reason}); make room there, or set CSM_VOICES to a "
                "folder that can be written to"
            ) from error

    def remove(self, name: str) -> None:
        """Remove a voice.

        Raises:
            VoiceError: there is none of that name, or it cannot be removed.
        """
        if name not in self.recordings:
            known = ", ".join(sorted(self.recordings)) or "none"
            raise VoiceError(f"there is no voice of that name in {self.path}; there are: {known}")
        try:
            for path in self._files(name, ALL_SUFFIXES[::-1]):  # without its text it is no voice any more
                path.unlink(missing_ok=True)
        except OSError as error:
            raise VoiceError(f"the voice {name!r} cannot be removed from {self.path} ({error.strerror})") from error

    @contextmanager
    def _part(self) -> Iterator[Path]:
        """A name for files that are being written; what is left of them goes."""
        part = self.path / f".{uuid.uuid4().hex}"
        try:
            yield part
        finally:
            for suffix in WRITTEN:
                part.with_suffix(suffix).unlink(missing_ok=True)

    def _move_in(self, part: Path, name: str) -> None:
        """Give a voice's files their names; files of that name go, or come back if that fails."""
        old = [path for path in self._files(name, ALL_SUFFIXES) if path.is_file() or path.is_symlink()]
        aside = {path: part.with_name(f"{part.name}.old{path.suffix}") for path in old}
        moved: list[tuple[Path, Path]] = []
        try:
            written = [end for end in WRITTEN if part.with_suffix(end).is_file()]
            pairs = [*aside.items(), *((part.with_suffix(end), self.path / f"{name}{end}") for end in written)]
            for source, target in pairs:
                source.rename(target)
                moved.append((source, target))
        except BaseException:
            for source, target in reversed(moved):
                target.rename(source)
            raise
        for path in aside.values():
            path.unlink()

    def _files(self, name: str, suffixes: tuple[str, ...]) -> list[Path]:
        return [self.path / f"{name}{suffix}" for suffix in suffixes]

    def _has_text(self, name: str) -> bool:
        return os.path.isfile(self.path / f"{name}.txt")
