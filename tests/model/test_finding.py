"""Where a checkpoint comes from: a bundled name, a folder, a hub id; and what is said when it does not."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from csm_plugin.errors import CheckpointAccessError, CheckpointFormatError, CheckpointNotFound
from csm_plugin.model import checkpoint
from csm_plugin.model.checkpoint import DIGESTS, bundled_models, digests, find_checkpoint


def refuse(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[dict[str, object]]:
    """Let the hub answer with an error, and record what it was asked."""
    asked: list[dict[str, object]] = []

    def download(hub_id: str, **options: object) -> str:
        asked.append({"hub_id": hub_id, **options})
        raise error

    monkeypatch.setattr(checkpoint, "snapshot_download", download)
    return asked


def response(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://hub.invalid"))


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


@pytest.mark.parametrize("model", ["nothing", "", "a/b/c", "./missing", "../x", "/missing", "~/missing", "a b/c"])
def test_anything_else_is_refused_without_asking_the_hub(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = refuse(monkeypatch, AssertionError("the hub was asked"))
    with pytest.raises(CheckpointNotFound, match=r"pass a bundled name|folder"):
        find_checkpoint(model)
    assert asked == []


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointNotFound, match="pass the folder"):
        find_checkpoint(tmp_path / "model.safetensors")


def test_a_hub_id_is_fetched_with_the_token_and_without_anything_that_can_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def download(hub_id: str, **options: object) -> str:
        asked.update(options, hub_id=hub_id)
        return str(tmp_path)

    monkeypatch.setattr(checkpoint, "snapshot_download", download)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert find_checkpoint("sesame/csm-1b") == tmp_path
    assert asked["hub_id"] == "sesame/csm-1b" and asked["token"] == "hf_secret"
    assert all(str(p).endswith(("json", "safetensors", "jinja")) for p in asked["allow_patterns"])  # type: ignore[attr-defined]


def test_a_gated_model_says_how_to_get_access_and_names_the_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, GatedRepoError("gated", response=response(403)))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(CheckpointAccessError, match=r"accept its terms.*HF_TOKEN.*unsloth/csm-1b") as caught:
        find_checkpoint("sesame/csm-1b")
    assert "hf_secret" not in str(caught.value)


def test_an_unknown_hub_id_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, RepositoryNotFoundError("404", response=response(404)))
    with pytest.raises(CheckpointNotFound, match="check the spelling"):
        find_checkpoint("sesame/csm-2b")


@pytest.mark.parametrize("error", [LocalEntryNotFoundError("offline"), OSError("no network")])
def test_without_a_network_it_says_so(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, error)
    with pytest.raises(CheckpointAccessError, match="cannot be reached"):
        find_checkpoint("sesame/csm-1b")
