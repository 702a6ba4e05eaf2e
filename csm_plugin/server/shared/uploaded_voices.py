"""Voices that were uploaded, in a folder, beside those that the engine has."""

from __future__ import annotations

import errno
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from loguru import logger

from csm_plugin.conversation import VoiceLibrary, VoicePrompt
from csm_plugin.conversation.voice_folder import (
    VOICE_NAME,
    VoiceFolder,
    check_voice_name,
    own_folder,
    recordings_in,
    write_text_to,
)
from csm_plugin.errors import SettingsError, VoiceError
from csm_plugin.server.shared.errors import Refusal
from csm_plugin.settings import SAMPLE_RATE_HZ

OPENAI_VOICES = frozenset(
    "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()
)  # fmt: skip
"""What clients of OpenAI's service ask for; where there is no voice of that name, the default one speaks."""

FOREIGN_NAME = re.compile(r"(?=.*[^\W\d_])(?!.*\.\.)\w[\w .,()+'-]*")
"""What other servers call a voice: words, with a letter in them; no addresses and no paths."""


class VoiceShelf:
    """Uploaded voices. `add` and `remove` write files; the others read the folder again only after it changed.

    Args:
        folder: where they are kept; without one, in the user's own, or where that cannot be written to, in one that
            goes with the shelf.
        default: who speaks if nobody is named.
        most: how many may be uploaded.

    Raises:
        SettingsError: the folder is not there and cannot be made.
    """

    def __init__(self, folder: Path | None, *, default: str | None = None, most: int = 100) -> None:
        if folder is None:
            self._own, path = _own_or_temporary()
        else:
            self._own, path = None, _made(folder.expanduser())
        self._folder = VoiceFolder(path)
        self._default = default
        self._most = most
        self._read_at_ns = -1
        self._read()
        for recording in self._folder.wordless.values():
            logger.warning(
                f"a recording of the folder of voices has no text; {write_text_to(recording.with_suffix('.txt'))}"
            )

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def names(self) -> list[str]:
        """The uploaded voices that there are."""
        self._read()
        return self._names

    def not_here(self, voices: Sequence[str]) -> list[str]:
        """Return those of an engine's voices that are not from this folder, which the engine may read too."""
        self._read()
        return [voice for voice in voices if voice not in self._stems]

    def keeps_files_of(self, name: str) -> bool:
        """Whether there is a recording of that name in the folder, whether it is a voice or not."""
        self._read()
        return name in self._stems

    def find(self, voice: str | None, others: Callable[[], Sequence[str]]) -> str | VoicePrompt | None:
        """Return a voice by name, for the engine to speak with.

        Args:
            voice: None means the default one.
            others: gives the engine's own voices; asked only if the voice is not here.

        Returns:
            None where none is named, or one of OpenAI's that is not there, and there is no default.

        Raises:
            VoiceError: there is no such voice, or its files cannot be used.
        """
        if voice is None:
            return None if self._default is None else self.find(self._default, others)
        if voice in self.names and self._folder.holds(voice):
            return self._prompt(voice)
        own = others()
        if voice in own:
            return voice
        if voice in OPENAI_VOICES:
            return None if voice == self._default else self.find(None, others)
        known = ", ".join(sorted({*self.names, *own})) or "none yet"
        raise VoiceError(f"there is no such voice; known voices: {known}. Add one with POST /v1/voices")

    def add(self, prompt: VoicePrompt, taken: Sequence[str]) -> None:
        """Keep a voice.

        Args:
            taken: names of other voices.

        Raises:
            VoiceError: the name cannot be one.
            Refusal: there is one of that name, or there are too many.
        """
        name = check_voice_name(prompt.name)
        if name in taken or name in self.names:
            raise Refusal("there is a voice of that name; remove it first", status=409, code="exists", param="name")
        if len(self.names) >= self._most:
            raise Refusal(f"there are {self._most} voices, which is the most; remove one", status=409, code="too_many")
        try:
            self._folder.add(name, prompt.text, prompt.pcm, style=prompt.style)
        finally:
            self._read_at_ns = -1
        logger.info("a voice was added", seconds=round(len(prompt.pcm) / SAMPLE_RATE_HZ, 1))

    def remove(self, name: str) -> None:
        """Remove an uploaded voice; conversations that have it keep it.

        Raises:
            Refusal: none of that name was uploaded, or it is the default one.
        """
        if name == self._default:
            raise Refusal("that is the default voice, which must stay", status=409, code="default_voice", param="name")
        if not VOICE_NAME.fullmatch(name) or name not in self.names:
            raise Refusal("no voice of that name was uploaded", status=404, code="voice_not_found", param="name")
        self._folder.remove(name)
        self._read_at_ns = -1
        logger.info("a voice was removed")

    def _read(self) -> None:
        """Read which voices there are, if the folder changed since that was done."""
        changed_at_ns = self._folder.path.stat().st_mtime_ns
        if changed_at_ns != self._read_at_ns:
            self._read_at_ns = changed_at_ns
            self._library = VoiceLibrary([self._folder.path])
            self._prompts: dict[str, VoicePrompt] = {}
            self._stems = frozenset(recordings_in(self._folder.path))
            self._names = sorted(self._folder.recordings)

    def _prompt(self, name: str) -> VoicePrompt:
        if name not in self._prompts:
            self._prompts[name] = self._library.get(name)
        return self._prompts[name]


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"voices is {str(folder)!r}, which is no folder and cannot be made one ({error.strerror}); name another"
        ) from None
    return folder


def _own_or_temporary() -> tuple[tempfile.TemporaryDirectory[str] | None, Path]:
    """Return the user's own folder if it can be written to; else a temporary one, and what keeps it."""
    own = own_folder()
    try:
        if own is None:
            raise OSError(errno.ENOENT, "the user has no home")
        own.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=own):
            return None, own
    except OSError as error:
        logger.warning(
            "uploaded voices will be lost when the server ends: their folder cannot be written to; set CSM_VOICES",
            folder=str(own), reason=error.strerror,
        )  # fmt: skip
        kept = tempfile.TemporaryDirectory(prefix="csm-voices-")
        return kept, Path(kept.name)
