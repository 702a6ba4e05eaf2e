"""Voice prompts and where they are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm_plugin.audio.files import WavWriter
from csm_plugin.conversation import VoiceLibrary, VoicePrompt
from csm_plugin.errors import VoiceError

SECOND = np.sin(np.linspace(0, 440, 16_000)).astype(np.float32) * 0.3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    voices = tmp_path / "voices"
    voices.mkdir()
    with WavWriter(voices / "ann.wav", 16_000) as wav:
        wav.write(SECOND)
    (voices / "ann.txt").write_text("My name is Ann.")
    with WavWriter(voices / "nameless.wav", 16_000) as wav:
        wav.write(SECOND)
    return tmp_path


def test_voices_beside_a_checkpoint_are_found_by_name(folder: Path) -> None:
    library = VoiceLibrary.beside(folder)
    assert library.names == ["ann"]
    prompt = library.get("ann")
    assert prompt.text == "My name is Ann."
    assert prompt.sample_rate == 24_000 and abs(len(prompt.pcm) - 24_000) < 10
    assert library.get("ann") is prompt


def test_a_recording_may_be_flac(folder: Path) -> None:
    soundfile.write(folder / "voices" / "bob.flac", SECOND, 16_000)
    (folder / "voices" / "bob.txt").write_text("My name is Bob.")
    library = VoiceLibrary.beside(folder)
    assert library.names == ["ann", "bob"] and library.get("bob").text == "My name is Bob."


def test_a_users_own_folder_comes_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "ann.wav").write_bytes((folder / "voices" / "ann.wav").read_bytes())
    (own / "ann.txt").write_text("I am another Ann.")
    monkeypatch.setenv("CSM_VOICES", str(own))
    assert VoiceLibrary.beside(folder).get("ann").text == "I am another Ann."


@pytest.mark.parametrize("name", ["nobody", "../ann", "ann.wav", "/ann", "a\0", "", "a" * 300, 7, None])
def test_any_other_name_is_refused_and_the_known_ones_are_said(folder: Path, name: object) -> None:
    with pytest.raises(VoiceError, match="known voices: ann"):
        VoiceLibrary.beside(folder).get(name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "pcm", "rate"),
    [
        ("", SECOND, 16_000),
        ("Hello.", np.full(10, np.nan, np.float32), 16_000),
        ("Hello.", np.zeros((2, 10), np.float32), 16_000),
        ("Hello.", np.zeros(16_000 * 31, np.float32), 16_000),
        ("Hello.", SECOND, 1),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused(text: str, pcm: np.ndarray, rate: int) -> None:
    with pytest.raises(VoiceError, match="the voice prompt 'x' cannot be used"):
        VoicePrompt("x", text, pcm, rate)


@pytest.mark.parametrize(
    ("told", "style"),
    [('{"style": "continue"}', "continue"), ('{"style": "context", "licence": "mine"}', "context"), ("{}", None)],
)
def test_a_json_file_beside_a_voice_may_name_its_style(folder: Path, told: str, style: str | None) -> None:
    assert VoiceLibrary.beside(folder).get("ann").style is None
    (folder / "voices" / "ann.json").write_text(told)
    assert VoiceLibrary.beside(folder).get("ann").style == style
    assert VoiceLibrary.beside(folder).names == ["ann"]


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ("{", "cannot be read"),
        ('["continue"]', r"cannot be read: ann\.json holds no JSON object"),
        ('{"style": "before"}', "'before'; it must be 'context', 'continue' or None"),
        ('{"style": ["continue"]}', "of type list; it must be 'context', 'continue' or None"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_json_file_that_names_no_style_that_there_is_is_reported(
    folder: Path, told: str | bytes, problem: str
) -> None:
    (folder / "voices" / "ann.json").write_bytes(told if isinstance(told, bytes) else told.encode())
    with pytest.raises(VoiceError, match=problem):
        VoiceLibrary.beside(folder).get("ann")


def test_damaged_files_are_reported(folder: Path) -> None:
    (folder / "voices" / "ann.wav").write_bytes(b"RIFF, or not")
    with pytest.raises(VoiceError, match="cannot be read"):
        VoiceLibrary.beside(folder).get("ann")
