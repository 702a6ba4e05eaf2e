"""Where a checkpoint comes from: a bundled name, a folder, a hub id, in that order; tests/hub has the hub's part."""

from __future__ import annotations

from pathlib import Path

import pytest

from csm_plugin.errors import CheckpointFormatError, CheckpointNotFound
from csm_plugin.model import checkpoint
from csm_plugin.model.checkpoint import DIGESTS, bundled_models, digests, find_checkpoint, is_on_hub

Asked = list[tuple[str, str, str]]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the hub is asked for: id, revision, kind."""
    asked: Asked = []

    def fetch(hub_id: str, revision: str, kind: str) -> Path:
        asked.append((hub_id, revision, kind))
        return tmp_path

    monkeypatch.setattr(checkpoint, "fetch", fetch)
    return asked


def test_a_bundled_name_comes_before_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = tmp_path / "bundled" / "csm-tiny"
    bundled.mkdir(parents=True)
    (bundled / "config.json").write_text("{}")
    (tmp_path / "csm-tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path / "bundled")
    assert bundled_models() == ["csm-tiny"]
    assert find_checkpoint("csm-tiny") == bundled


def test_a_bundled_checkpoint_that_is_damaged_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path)
    bundled = tmp_path / "csm-tiny"
    (bundled / "voices").mkdir(parents=True)
    (bundled / "config.json").write_text("{}")
    (bundled / "voices" / "ann.txt").write_text("Ann")
    lines = [f"{digest}  {name}\n" for name, digest in digests(bundled).items()]
    (bundled / DIGESTS).write_text("".join(lines))
    assert len(lines) == 2 and find_checkpoint("csm-tiny") == bundled

    (bundled / "voices" / "ann.txt").write_text("Anna")
    with pytest.raises(CheckpointFormatError, match="install csm-plugin again"):
        find_checkpoint("csm-tiny")


def test_a_folder_may_be_a_path_or_a_string(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path) == find_checkpoint(str(tmp_path)) == tmp_path


def test_a_folder_comes_before_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sesame" / "csm-1b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("sesame/csm-1b") == Path("sesame/csm-1b")


@pytest.mark.parametrize(
    "model",
    [
        "nothing",
        "",
        "a/b/c",
        "./missing",
        "../x",
        "/missing",
        "~/missing",
        "a b/c",
        "a/b@",
        "a/b@../x",
        "a/b@/x",
        "a/b@-x",
    ],
)
def test_anything_else_is_refused_without_asking_the_hub(model: str, asked: Asked) -> None:
    with pytest.raises(CheckpointNotFound, match=r"pass a bundled name|folder"):
        find_checkpoint(model)
    assert asked == [] and not is_on_hub(model)


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointNotFound, match=r"pass the folder that holds config\.json and model\.safetensors"):
        find_checkpoint(tmp_path / "model.safetensors")


def test_a_hub_id_is_fetched_as_what_it_is_wanted_as(tmp_path: Path, asked: Asked) -> None:
    assert find_checkpoint("sesame/csm-1b") == tmp_path
    assert find_checkpoint("owner/name@refs/pr/1", kind="adapter") == tmp_path
    assert asked == [("sesame/csm-1b", "main", "model"), ("owner/name", "refs/pr/1", "adapter")]
    assert is_on_hub("sesame/csm-1b@main") and not is_on_hub("csm-tiny")


@pytest.mark.parametrize(
    "model", ["~nobody-of-that-name/x", "x" * 5_000, "a" * 300 + "/x", "a\0b"], ids=lambda model: repr(model)[:24]
)
def test_a_name_that_no_file_can_have_is_no_folder(model: str, asked: Asked) -> None:
    if is_on_hub(model):
        find_checkpoint(model)
        assert len(asked) == 1
    else:
        with pytest.raises(CheckpointNotFound, match="there is no model"):
            find_checkpoint(model)
