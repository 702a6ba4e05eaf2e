"""Voice prompts: a text and its recording, which CSM continues in the same voice."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from os.path import isfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csm_plugin.audio.files import read_audio
from csm_plugin.audio.pcm import check_pcm, resample
from csm_plugin.conversation.prepared_voice import MAX_PROMPT_S, prepare_file
from csm_plugin.conversation.voice_folder import (
    VOICE_NAME,
    VoiceFolder,
    own_folder,
    recordings_in,
    write_text_to,
)
from csm_plugin.errors import AudioError, TextError, VoiceError
from csm_plugin.settings import SAMPLE_RATE_HZ, VOICE_STYLES, VoiceStyle
from csm_plugin.text.normalize import normalize


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

    A `name.json` beside them may name the prompt's style: `{"style": "continue"}`. All are read when first asked for; a
    folder that is not there is empty. Thread-safe.

    Args:
        folders: those of earlier ones go before those of later ones.
        own: the user's own folder, which goes before them; files that lead out of it are no voices.
        prompts: a folder of recordings as they were made, which become voices once their texts are known: from
            `name.txt` in the user's own folder, or there.
    """

    def __init__(self, folders: list[Path], *, own: Path | None = None, prompts: Path | None = None) -> None:
        self._folders = folders
        self._own = None if own is None else VoiceFolder(own)
        self._raw = prompts
        self._prompts: dict[str, VoicePrompt] = {}

    @classmethod
    def beside(cls, checkpoint: Path) -> VoiceLibrary:
        """Return the user's own voices, and those that come with a checkpoint: in its `voices` and its `prompts`."""
        return cls([checkpoint / "voices"], own=own_folder(), prompts=checkpoint / "prompts")

    @property
    def names(self) -> list[str]:
        """The names that `get` knows."""
        return sorted(self.recordings)

    @property
    def recordings(self) -> dict[str, Path]:
        """The recordings of the voices that `get` knows, by name."""
        found = {name: path for name, path in self.raw_recordings.items() if self._text_of_raw(name) is not None}
        for folder in reversed(self._folders):
            found |= {name: path for name, path in recordings_in(folder).items() if isfile(path.with_suffix(".txt"))}
        return found if self._own is None else found | self._own.recordings

    @property
    def raw_recordings(self) -> dict[str, Path]:
        """Recordings that come with the checkpoint as they were made, by name."""
        return {} if self._raw is None else recordings_in(self._raw)

    @property
    def wordless(self) -> dict[str, Path]:
        """Recordings that would be voices if their texts were known, by name: the checkpoint's, and the user's own."""
        known = self.recordings
        found = self.raw_recordings | ({} if self._own is None else self._own.wordless)
        return {name: path for name, path in found.items() if name not in known}

    def text_file(self, name: str) -> Path:
        """Return the file of the text of a voice that `get` knows."""
        path = self.recordings[name]
        known = self._text_of_raw(name) if path.parent == self._raw else None
        return known or path.with_suffix(".txt")

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
            wordless = self.wordless.get(voice) if isinstance(voice, str) else None
            if wordless is not None:
                folder = wordless.parent if self._own is None else self._own.path
                raise VoiceError(
                    f"the voice {given} has a recording and no text; {write_text_to(folder / f'{voice}.txt')}"
                )
            raise VoiceError(f"there is no voice {given}; known voices: {known}")
        if voice not in self._prompts:
            self._prompts[voice] = self._read(voice)
        return self._prompts[voice]

    def _read(self, name: str) -> VoicePrompt:
        path = self.recordings[name]
        try:
            text = self.text_file(name).read_text(encoding="utf-8")
            style = _read_style(path.with_suffix(".json"))
            pcm, rate = (None, 0) if path.parent == self._raw else read_audio(path, max_seconds=MAX_PROMPT_S)
        except (AudioError, OSError, ValueError) as error:
            raise VoiceError(f"the files of voice {name!r} cannot be read: {error}") from error
        if pcm is not None:
            return VoicePrompt(name, text, pcm, rate, style)
        try:
            prepared = prepare_file(path, text)
        except VoiceError as error:
            raise VoiceError(f"the recording {name!r} that comes with the model cannot be used: {error}") from error
        return VoicePrompt(name, prepared.text, prepared.pcm, style=style)

    def _text_of_raw(self, name: str) -> Path | None:
        """Return the file of the text of a recording that comes with the checkpoint."""
        own = None if self._own is None or not self._own.holds(name) else self._own.path
        places = [folder / f"{name}.txt" for folder in (own, self._raw) if folder is not None]
        return next(filter(isfile, places), None)


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
