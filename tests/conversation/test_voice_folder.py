"""A folder of voices keeps both files of a voice or none, and nothing outside it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.audio import read_audio, write_wav
from csm_plugin.conversation import voice_folder
from csm_plugin.conversation.voice_folder import VoiceFolder, own_folder
from csm_plugin.errors import VoiceError

PCM = 0.3 * np.sin(np.linspace(0, 440, 24_000)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> VoiceFolder:
    return VoiceFolder(tmp_path / "deep" / "voices")


def contents(folder: VoiceFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir()}


def test_the_users_own_folder_lies_in_their_data_directory(own_voices: Path) -> None:
    assert own_folder() == own_voices
    assert not own_voices.exists()


def test_csm_voices_names_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CSM_VOICES", "~/mine")
    assert own_folder() == tmp_path / "mine"


def test_who_has_no_home_has_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_folder, "user_data_dir", lambda *_, **__: "~/.local/share/csm-plugin")
    assert own_folder() is None


def test_a_folder_is_made_when_the_first_voice_is_added(folder: VoiceFolder) -> None:
    assert folder.recordings == {}
    folder.add("ann", "I am Ann.", PCM)
    assert folder.recordings == {"ann": folder.path / "ann.wav"}
    assert sorted(contents(folder)) == ["ann.txt", "ann.wav"]
    pcm, rate = read_audio(folder.path / "ann.wav")
    assert rate == 24_000
    np.testing.assert_allclose(pcm, PCM, atol=1e-4)


def test_a_name_is_taken_until_its_voice_is_removed_or_replaced(folder: VoiceFolder) -> None:
    folder.add("ann", "I am Ann.", PCM)
    with pytest.raises(VoiceError, match="there is a voice 'ann'"):
        folder.add("ann", "I am another Ann.", PCM)
    folder.add("ann", "I am another Ann.", PCM, replace=True)
    assert contents(folder)["ann.txt"] == b"I am another Ann."
    folder.remove("ann")
    assert contents(folder) == {}
    with pytest.raises(VoiceError, match="there are: none"):
        folder.remove("ann")


def test_how_a_voice_is_followed_is_kept_beside_it(folder: VoiceFolder) -> None:
    folder.add("ann", "I am Ann.", PCM, style="continue")
    assert json.loads(contents(folder)["ann.json"]) == {"style": "continue"}
    folder.remove("ann")
    assert contents(folder) == {}


def test_replacing_leaves_nothing_of_the_old_voice(folder: VoiceFolder) -> None:
    folder.add("ann", "I am Ann.", PCM)
    (folder.path / "ann.wav").rename(folder.path / "ann.flac")
    (folder.path / "ann.json").write_text("{}")
    folder.add("ann", "I am another Ann.", PCM, replace=True)
    assert sorted(contents(folder)) == ["ann.txt", "ann.wav"]


@pytest.mark.parametrize("full_at", ["recording", "text", "names"])
@pytest.mark.parametrize("replace", [False, True])
def test_on_a_full_disk_everything_is_as_it_was(
    folder: VoiceFolder, monkeypatch: pytest.MonkeyPatch, full_at: str, replace: bool
) -> None:
    folder.add("ann" if replace else "bob", "I was here.", PCM)
    before = contents(folder)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_a_part(path: Path, *_: object) -> None:
        path.write_bytes(b"RIFF")
        raise full

    def rename(path: Path, target: Path) -> None:
        if target.name == "ann.txt" and ".old" not in path.name:
            raise full
        os.rename(path, target)

    with monkeypatch.context() as patch:
        if full_at == "recording":
            patch.setattr(voice_folder, "write_wav", write_a_part)
        elif full_at == "text":
            patch.setattr(Path, "write_text", lambda path, *_, **__: write_a_part(path))
        else:
            patch.setattr(Path, "rename", rename)
        with pytest.raises(VoiceError, match=r"'ann' cannot be kept .*No space left on device.*CSM_VOICES"):
            folder.add("ann", "I am Ann.", PCM, replace=replace)
    assert contents(folder) == before


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VoiceError, match=r"cannot be kept in .*set CSM_VOICES"):
        VoiceFolder(tmp_path / "file" / "voices").add("ann", "I am Ann.", PCM)
    assert VoiceFolder(tmp_path / "file" / "voices").recordings == {}


@pytest.mark.parametrize("name", ["", "../ann", "/ann", "a/b", "a\0", "-x", "ann.wav", "a" * 65, "ünder"])
def test_no_other_name_is_taken(folder: VoiceFolder, name: str) -> None:
    with pytest.raises(VoiceError, match="1 to 64 letters"):
        folder.add(name, "I am Ann.", PCM)
    with pytest.raises(VoiceError, match="there is no voice of that name"):
        folder.remove(name)
    assert not folder.path.exists()


@pytest.mark.parametrize("linked", ["ann.wav", "ann.txt"])
def test_a_link_out_of_the_folder_is_no_voice_and_what_it_leads_to_stays(
    folder: VoiceFolder, tmp_path: Path, linked: str
) -> None:
    folder.add("ann", "I am Ann.", PCM)
    outside = tmp_path / f"outside-{linked}"
    (folder.path / linked).rename(outside)
    (folder.path / linked).symlink_to(outside)
    kept = outside.read_bytes()
    assert folder.recordings == {}
    with pytest.raises(VoiceError, match="there is no voice of that name"):
        folder.remove("ann")
    folder.add("ann", "I am another Ann.", PCM, replace=True)
    assert folder.recordings and not (folder.path / linked).is_symlink()
    assert outside.read_bytes() == kept


def test_a_link_within_the_folder_is_a_voice(folder: VoiceFolder) -> None:
    """So a mounted ConfigMap looks."""
    data = folder.path / "..data"
    data.mkdir(parents=True)
    write_wav(data / "ann.wav", PCM, 24_000)
    (data / "ann.txt").write_text("I am Ann.")
    for ending in ("wav", "txt"):
        (folder.path / f"ann.{ending}").symlink_to(Path("..data") / f"ann.{ending}")
    assert list(folder.recordings) == ["ann"]


@pytest.mark.parametrize("suffix", [".wav", ".json"])
def test_links_in_a_circle_are_no_trouble(suffix: str, folder: VoiceFolder) -> None:
    folder.add("ann", "I am Ann.", PCM)
    folder.add("bob", "I am Bob.", PCM)
    circle = folder.path / f"bob{suffix}"
    circle.unlink(missing_ok=True)
    circle.symlink_to(circle.name)
    assert "ann" in folder.recordings
    folder.remove("bob")
    assert sorted(contents(folder)) == ["ann.txt", "ann.wav"]
