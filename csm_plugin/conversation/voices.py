"""Voice prompts: a text and its recording, which CSM continues in the same voice."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csm_plugin.audio.files import read_audio
from csm_plugin.audio.pcm import check_pcm, resample
from csm_plugin.errors import AudioError, TextError, VoiceError
from csm_plugin.settings import SAMPLE_RATE_HZ, VOICE_STYLES, VoiceStyle
from csm_plugin.text.normalize import normalize

MAX_PROMPT_S = 30.0
SUFFIXES = (".wav", ".flac")
VOICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, eq=False)
class VoicePrompt:
    """A reference recording and what is said in it.

    Args:
        name: how logs and errors call it.
        text: the words of the recording.
        pcm: float32 [samples] in [-1, 1], mono, at most 30 s.
        sample_rate: in Hz.
        style: "context" puts the recording in front of the conversation, as something that was said; "continue" has
            every utterance go on from it, as if both were one. None: as the checkpoint was made for.

    Raises:
        VoiceError: the text has no words in it, the recording cannot be used, or there is no such style.
    """

    name: str
    text: str
    pcm: npt.NDArray[np.float32] = field(repr=False)
    sample_rate: int = SAMPLE_RATE_HZ
    style: VoiceStyle | None = None

    def __post_init__(self) -> None:
        if self.style is not None and self.style not in VOICE_STYLES:
            given = repr(self.style) if isinstance(self.style, str) else f"of type {type(self.style).__name__}"
            raise VoiceError(
                f"the voice prompt {self.name!r} has the style {given[:64]}; it must be 'context', 'continue' or None"
            )
        try:
            object.__setattr__(self, "text", normalize(self.text))
            pcm = check_pcm(self.pcm, self.sample_rate, max_seconds=MAX_PROMPT_S)
        except (TextError, AudioError) as error:
            raise VoiceError(f"the voice prompt {self.name!r} cannot be used: {error}") from error
        object.__setattr__(self, "pcm", resample(pcm, self.sample_rate, SAMPLE_RATE_HZ))
        object.__setattr__(self, "sample_rate", SAMPLE_RATE_HZ)


class VoiceLibrary:
    """The voice prompts in some folders: `name.wav` or `name.flac` beside `name.txt`.

    A `name.json` beside them may name the prompt's style: `{"style": "continue"}`. All are read when first asked for.
    Thread-safe.
    """

    def __init__(self, folders: list[Path]) -> None:
        self._folders = [folder for folder in folders if folder.is_dir()]
        self._prompts: dict[str, VoicePrompt] = {}

    @classmethod
    def beside(cls, checkpoint: Path) -> VoiceLibrary:
        """Return the voices of a checkpoint, and of the folder that `CSM_VOICES` names."""
        own = os.environ.get("CSM_VOICES")
        return cls([*([Path(own).expanduser()] if own else []), checkpoint / "voices"])

    @property
    def names(self) -> list[str]:
        """The names that `get` knows."""
        files = (path for folder in self._folders for path in folder.iterdir() if path.suffix in SUFFIXES)
        return sorted({p.stem for p in files if VOICE_NAME.fullmatch(p.stem) and p.with_suffix(".txt").is_file()})

    def get(self, voice: str | VoicePrompt) -> VoicePrompt:
        """Return a prompt by name; one that is passed comes back as it is.

        Raises:
            VoiceError: there is no such voice, or its files cannot be used.
        """
        if isinstance(voice, VoicePrompt):
            return voice
        if not isinstance(voice, str) or not VOICE_NAME.fullmatch(voice) or voice not in self.names:
            known = ", ".join(self.names) or "none are installed"
            given = repr(voice[:64]) if isinstance(voice, str) else f"of type {type(voice).__name__}"
            raise VoiceError(
                f"there is no voice {given}; known voices: {known}. Or pass a VoicePrompt(name, text, pcm)"
            )
        if voice not in self._prompts:
            self._prompts[voice] = self._read(voice)
        return self._prompts[voice]

    def _read(self, name: str) -> VoicePrompt:
        places = (folder / f"{name}{suffix}" for folder in self._folders for suffix in SUFFIXES)
        path = next(place for place in places if place.is_file())
        try:
            pcm, rate = read_audio(path, max_seconds=MAX_PROMPT_S)
            text = path.with_suffix(".txt").read_text(encoding="utf-8")
            style = _read_style(path.with_suffix(".json"))
        except (AudioError, OSError, ValueError) as error:
            raise VoiceError(f"the files of voice {name!r} cannot be read: {error}") from error
        return VoicePrompt(name, text, pcm, rate, style)


def _read_style(path: Path) -> Any:
    """Return the `style` that a voice's JSON file names; None where it names none, or is not there.

    Raises:
        OSError, ValueError: it cannot be read, or holds no JSON object.
    """
    if not path.is_file():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(told, dict):
        raise ValueError(f'{path.name} holds no JSON object; write {{"style": "continue"}}, or remove it')
    return told.get("style")
