"""Voice prompts and where they are found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm_plugin.audio import read_audio, resample
from csm_plugin.audio.files import WavWriter
from csm_plugin.conversation import VoiceLibrary, VoicePrompt
from csm_plugin.conversation.voice_folder import VoiceFolder
from csm_plugin.errors import VoiceError
from csm_plugin.model.checkpoint import BUNDLED

CLARA = BUNDLED / "csm-tiny" / "voices" / "clara.flac"
CLARA_TEXT = CLARA.with_suffix(".txt").read_text().strip()
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


def test_a_recording_of_ones_own_without_its_text_is_told_of(folder: Path, own_voices: Path) -> None:
    own_voices.mkdir(parents=True)
    (own_voices / "me.wav").write_bytes((folder / "voices" / "ann.wav").read_bytes())
    library = VoiceLibrary.beside(folder)
    assert list(library.wordless) == ["me"] and library.names == ["ann"]
    with pytest.raises(VoiceError, match=re.escape("'me' has a recording and no text; write what is said in it")):
        library.get("me")
    (own_voices / "me.txt").write_text("This is me.")
    assert library.wordless == {} and library.get("me").text == "This is me."


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


@pytest.fixture
def with_prompts(folder: Path) -> Path:
    """A checkpoint that comes with recordings as they were made: stereo, 48 kHz, silence around, one without words."""
    (folder / "prompts").mkdir()
    spoken, rate = read_audio(CLARA)
    sound = np.pad(resample(spoken, rate, 48_000) * 0.1, 48_000)
    for name in ("reader", "talker"):
        soundfile.write(folder / "prompts" / f"{name}.wav", np.stack([sound, sound * 0.5], axis=1), 48_000)
    (folder / "prompts" / "reader.txt").write_text(CLARA_TEXT)
    return folder


def test_recordings_that_come_with_a_checkpoint_are_voices_once_their_texts_are_known(
    with_prompts: Path, own_voices: Path
) -> None:
    library = VoiceLibrary.beside(with_prompts)
    assert library.names == ["ann", "reader"]
    assert list(library.wordless) == ["talker"]
    with pytest.raises(VoiceError, match=re.escape(f"to {own_voices / 'talker.txt'}")):
        library.get("talker")
    own_voices.mkdir(parents=True)
    (own_voices / "talker.txt").write_text(CLARA_TEXT)
    assert library.names == ["ann", "reader", "talker"]
    assert library.wordless == {}
    for name in ("reader", "talker"):
        prompt = library.get(name)
        assert prompt.text == CLARA_TEXT
        assert len(prompt.pcm) / 24_000 == pytest.approx(len(read_audio(CLARA)[0]) / 24_000, abs=0.3)
        assert np.sqrt(np.square(prompt.pcm).mean()) == pytest.approx(0.1, abs=0.02)


def test_a_voice_of_ones_own_goes_before_a_recording_of_that_name(with_prompts: Path, own_voices: Path) -> None:
    library = VoiceLibrary.beside(with_prompts)
    VoiceFolder(own_voices).add("reader", "I am another.", SECOND)
    assert library.get("reader").text == "I am another."
    assert library.recordings["reader"].parent == own_voices


def test_a_recording_that_cannot_be_used_is_said_when_it_is_asked_for(with_prompts: Path) -> None:
    soundfile.write(with_prompts / "prompts" / "reader.wav", np.random.default_rng(0).normal(0, 0.1, 48_000), 48_000)
    with pytest.raises(
        VoiceError, match=r"^the recording 'reader' that comes with the model cannot be used: the .* noisy"
    ):
        VoiceLibrary.beside(with_prompts).get("reader")


@pytest.mark.parametrize("own", ["/dev/null/voices", "/dev/null"])
def test_a_folder_that_cannot_be_read_is_empty(folder: Path, monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    monkeypatch.setenv("CSM_VOICES", own)
    assert VoiceLibrary.beside(folder).names == ["ann"]


def test_a_folder_that_nobody_may_enter_is_empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setenv("CSM_VOICES", str(folder / "closed"))
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert VoiceLibrary.beside(folder).get("ann").text == "My name is Ann."
