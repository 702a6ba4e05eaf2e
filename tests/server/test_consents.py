"""Consents are kept beside the voices, as many as may be, and nothing but what was kept is read back."""

from __future__ import annotations

import errno
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from csm_plugin.errors import VoiceError
from csm_plugin.server.shared.consents import ConsentShelf
from csm_plugin.server.shared.errors import Refusal
from csm_plugin.server.shared.uploaded_voices import VoiceShelf
from tests.server.running import RunningServer

SOUND = np.full(24_000, 0.1, np.float32)


def test_a_consent_outlives_the_shelf_and_is_no_voice(tmp_path: Path) -> None:
    kept = ConsentShelf(tmp_path, 5).add("Ann", "en-US", SOUND)
    assert ConsentShelf(tmp_path, 5).all == [kept]
    assert VoiceShelf(tmp_path).names == []
    (recording,) = (tmp_path / "consents").glob("*.wav")
    assert soundfile.info(recording).frames == len(SOUND)


def test_one_is_renamed_and_removed_with_its_recording(tmp_path: Path) -> None:
    shelf = ConsentShelf(tmp_path, 5)
    kept = [shelf.add(name, "en", SOUND) for name in ("Ann", "Bob")]
    assert shelf.rename(kept[0].id, "Ann Smith").name == "Ann Smith"
    assert {one.name for one in shelf.all} == {"Ann Smith", "Bob"}
    shelf.remove(kept[0].id)
    assert shelf.all == [kept[1]]
    assert len(list((tmp_path / "consents").iterdir())) == 2


def test_there_are_only_so_many(tmp_path: Path) -> None:
    shelf = ConsentShelf(tmp_path, 1)
    shelf.add("Ann", "en", SOUND)
    with pytest.raises(Refusal, match="which is the most"):
        shelf.add("Bob", "en", SOUND)


@pytest.mark.parametrize("consent", ["", "cons_none", "../secret", "/etc/passwd", "*", "cons_*", "\0"])
def test_a_name_that_is_none_reads_and_removes_nothing(tmp_path: Path, consent: str) -> None:
    (tmp_path / "secret.json").write_text("{}")
    shelf = ConsentShelf(tmp_path / "voices", 5)
    kept = shelf.add("Ann", "en", SOUND)
    for use in (shelf.find, shelf.remove, lambda id: shelf.rename(id, "x")):
        with pytest.raises(Refusal, match="no such consent"):
            use(consent)
    assert shelf.all == [kept]
    assert (tmp_path / "secret.json").exists()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"id": "cons_other", "created_at": 1, "language": "", "name": ""}']
)
def test_a_file_that_is_no_consent_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "consents").mkdir()
    (tmp_path / "consents" / "cons_x.json").write_text(content)
    assert ConsentShelf(tmp_path, 5).all == []


@pytest.mark.parametrize(
    ("fields", "data", "status"),
    [
        ({"name": "Ann", "language": "en"}, b"no sound", 422),
        ({"name": "Ann", "language": "English, please"}, b"RIFF", 422),
        ({"language": "en"}, b"RIFF", 422),
        ({"name": "a" * 65, "language": "en"}, b"RIFF", 422),
        ({"name": "Ann", "language": "en"}, bytes(11 * 2**20), 413),
    ],
)
def test_a_recording_that_cannot_be_kept_is_refused(
    server: RunningServer, fields: dict[str, str], data: bytes, status: int
) -> None:
    answer = httpx.post(
        f"{server.url}/v1/audio/voice_consents", data=fields, files={"recording": ("x.wav", data)}, timeout=60
    )
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_what_cannot_be_kept_leaves_no_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recording stayed, and nothing told of it."""
    shelf = ConsentShelf(tmp_path, 5)

    def full(_self: Path, *_arguments: object, **_options: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(VoiceError, match="No space left on device"):
            shelf.add("Ann", "en", SOUND)
    assert list((tmp_path / "consents").iterdir()) == []


def test_a_recording_that_cannot_be_removed_is_still_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = ConsentShelf(tmp_path, 5)
    known = shelf.add("Ann", "en", SOUND)
    unlink = Path.unlink

    def busy(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".wav":
            raise PermissionError(errno.EACCES, "Permission denied")
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", busy)
        with pytest.raises(VoiceError, match="Permission denied"):
            shelf.remove(known.id)
    assert shelf.find(known.id) == known
