"""Voices that were uploaded, in a folder, beside those that the engine has."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from loguru import logger

from csm_plugin.audio import write_wav
from csm_plugin.conversation import VoiceLibrary, VoicePrompt
from csm_plugin.conversation.voices import VOICE_NAME
from csm_plugin.errors import VoiceError
from csm_plugin.server.errors import Refusal
from csm_plugin.settings import SAMPLE_RATE_HZ

OPENAI_VOICES = frozenset(
    "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()
)  # fmt: skip
"""What clients of OpenAI's service ask for; where there is no voice of that name, the default one speaks."""


class VoiceShelf:
    """Uploaded voices. Its methods read and write files, but for `find` and `names` of what was read before.

    Args:
        folder: where they are kept; without one they live as long as the shelf.
        default: who speaks if nobody is named.
        most: how many may be uploaded.
    """

    def __init__(self, folder: Path | None, *, default: str | None = None, most: int = 100) -> None:
        self._own = tempfile.TemporaryDirectory(prefix="csm-voices-") if folder is None else None
        self._folder = Path(self._own.name) if self._own is not None else Path(folder or ".").expanduser()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._default = default
        self._most = most
        self._library = VoiceLibrary([self._folder])

    @property
    def names(self) -> list[str]:
        """The uploaded voices that there are."""
        return [name for name in self._library.names if self._is_inside(name)]

    def find(self, voice: str, others: Sequence[str]) -> str | VoicePrompt | None:
        """Return a voice by name, for the engine to speak with.

        Args:
            others: the engine's own voices.

        Returns:
            None where one of OpenAI's is asked for, and neither it nor a default is there.

        Raises:
            VoiceError: there is no such voice, or its files cannot be used.
        """
        if VOICE_NAME.fullmatch(voice):
            if voice in self.names:
                return self._library.get(voice)
            if voice in others:
                return voice
            if voice in OPENAI_VOICES:
                return None if self._default in (None, voice) else self.find(str(self._default), others)
        known = ", ".join(sorted({*self.names, *others})) or "none yet"
        raise VoiceError(f"there is no such voice; known voices: {known}. Add one with POST /v1/voices")

    def find_default(self, others: Sequence[str]) -> str | VoicePrompt | None:
        """Return the voice for whoever names none."""
        return None if self._default is None else self.find(self._default, others)

    def check_name(self, name: str) -> str:
        """Return a name that a new voice may have.

        Raises:
            VoiceError: it may not.
        """
        if not VOICE_NAME.fullmatch(name):
            raise VoiceError("a voice's name has 1 to 64 letters, digits, _ and -, and begins with a letter or digit")
        return name

    def add(self, prompt: VoicePrompt, taken: Sequence[str]) -> None:
        """Keep a voice.

        Args:
            taken: names of other voices.

        Raises:
            VoiceError: the name cannot be one.
            Refusal: there is one of that name, or there are too many.
        """
        name = self.check_name(prompt.name)
        if name in taken or name in self.names:
            raise Refusal("there is a voice of that name; remove it first", status=409, code="exists", param="name")
        if len(self.names) >= self._most:
            raise Refusal(f"there are {self._most} voices, which is the most; remove one", status=409, code="too_many")
        wav, text = self._files(name)
        part = self._folder / f".{uuid.uuid4().hex}"
        try:
            write_wav(part.with_suffix(".wav"), prompt.pcm, SAMPLE_RATE_HZ)
            part.with_suffix(".txt").write_text(prompt.text, encoding="utf-8")
            part.with_suffix(".txt").replace(text)
            part.with_suffix(".wav").replace(wav)
        finally:
            part.with_suffix(".wav").unlink(missing_ok=True)
            part.with_suffix(".txt").unlink(missing_ok=True)
        logger.info("a voice was added", seconds=round(len(prompt.pcm) / SAMPLE_RATE_HZ, 1))

    def remove(self, name: str) -> None:
        """Remove an uploaded voice; conversations that have it keep it.

        Raises:
            Refusal: none of that name was uploaded.
        """
        if not VOICE_NAME.fullmatch(name) or name not in self.names:
            raise Refusal("no voice of that name was uploaded", status=404, code="voice_not_found", param="name")
        for path in self._files(name):
            path.unlink(missing_ok=True)
        self._library = VoiceLibrary([self._folder])
        logger.info("a voice was removed")

    def _files(self, name: str) -> tuple[Path, Path]:
        return self._folder / f"{name}.wav", self._folder / f"{name}.txt"

    def _is_inside(self, name: str) -> bool:
        """Whether a voice's files are really in the folder, and no links that lead out of it."""
        folder = self._folder.resolve()
        return all(path.resolve().parent == folder for path in self._files(name))
