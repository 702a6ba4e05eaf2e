"""Recordings in which people consent to their voice being used, as OpenAI's interface has them."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from loguru import logger
from pydantic import BaseModel, ValidationError

from csm_plugin.audio import write_wav
from csm_plugin.audio.pcm import Pcm
from csm_plugin.errors import AudioError, VoiceError
from csm_plugin.server.shared.errors import Refusal
from csm_plugin.settings import SAMPLE_RATE_HZ

FOLDER: Final = "consents"
PREFIX: Final = "cons_"


class Consent(BaseModel):
    """What is known of such a recording."""

    id: str
    created_at: int
    language: str
    name: str


class ConsentShelf:
    """Consents, each a recording beside what is known of it, in a folder beside the voices. Blocks; for one thread.

    Args:
        voices: the folder of voices.
        most: how many may be kept.
    """

    def __init__(self, voices: Path, most: int) -> None:
        self._folder = voices / FOLDER
        self._most = most

    @property
    def all(self) -> list[Consent]:
        """Every consent, oldest first."""
        found = [self._read(path) for path in self._folder.glob(f"{PREFIX}*.json")]
        return sorted((one for one in found if one is not None), key=lambda one: (one.created_at, one.id))

    def find(self, consent: str) -> Consent:
        """Return one.

        Raises:
            Refusal: there is none of that id.
        """
        for known in self.all:
            if known.id == consent:
                return known
        raise Refusal("there is no such consent; add one with POST /v1/audio/voice_consents", status=404,
                      code="consent_not_found", param="consent")  # fmt: skip

    def add(self, name: str, language: str, pcm: Pcm) -> Consent:
        """Keep one.

        Args:
            pcm: float32 [samples], mono, 24 kHz.

        Raises:
            Refusal: there are too many.
            VoiceError: the folder cannot be written to.
        """
        if len(self.all) >= self._most:
            raise Refusal(f"there are {self._most} consents, which is the most; remove one", status=409,
                          code="too_many")  # fmt: skip
        consent = Consent(id=PREFIX + secrets.token_hex(8), created_at=int(time.time()), language=language, name=name)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_wav(self._folder / f"{consent.id}.wav", pcm, SAMPLE_RATE_HZ)
            self._write(consent)
        except (OSError, AudioError) as error:
            for path in self._folder.glob(f"*{consent.id}*"):
                with suppress(OSError):
                    path.unlink()
            raise _unwritable(error) from error
        logger.info("a consent was added", seconds=round(len(pcm) / SAMPLE_RATE_HZ, 1))
        return consent

    def rename(self, consent: str, name: str) -> Consent:
        """Change what one is called, and return it.

        Raises:
            Refusal: there is none of that id.
            VoiceError: the folder cannot be written to.
        """
        renamed = self.find(consent).model_copy(update={"name": name})
        try:
            self._write(renamed)
        except OSError as error:
            raise _unwritable(error) from error
        return renamed

    def remove(self, consent: str) -> None:
        """Remove one.

        Raises:
            Refusal: there is none of that id.
            VoiceError: the folder cannot be written to; the consent stays.
        """
        known = self.find(consent)
        try:
            for suffix in (".wav", ".json"):  # a recording that nothing tells of would stay for good
                (self._folder / f"{known.id}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(error) from error
        logger.info("a consent was removed")

    def _write(self, consent: Consent) -> None:
        part = self._folder / f".{consent.id}.part"
        part.write_text(json.dumps(consent.model_dump()), encoding="utf-8")
        part.replace(self._folder / f"{consent.id}.json")

    def _read(self, path: Path) -> Consent | None:
        try:
            consent = Consent.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, ValidationError):
            return None
        return consent if consent.id == path.stem else None


def _unwritable(error: Exception) -> VoiceError:
    why = getattr(error, "strerror", None) or error
    return VoiceError(f"the folder of consents cannot be written to ({why}); make room, or set CSM_VOICES")
