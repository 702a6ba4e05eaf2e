"""`csm models check` of a model on the hub: its headers are read there, and its weights stay there."""

from __future__ import annotations

import json
from pathlib import Path

from tests.hub.conftest import Csm
from tests.hub.stand_in import Hub, Repository
from tests.replicas.repositories import write_csm_1b, write_mimi, write_original
from tests.replicas.tensors import SMALL

TINY = SMALL.with_layers(2, 1)


def repository_of(folder: Path) -> Repository:
    files = (path for path in folder.rglob("*") if path.is_file())
    return Repository({path.relative_to(folder).as_posix(): path.read_bytes() for path in files})


def test_of_csm_1b_the_headers_are_read_and_no_weights_come(csm: Csm, hub: Hub, tmp_path: Path) -> None:
    hub.repositories["sesame/csm-1b"] = repository_of(write_csm_1b(tmp_path, TINY))
    told = csm.models("check", "sesame/csm-1b", "--json")
    assert told.code == 0, told.err
    seen = json.loads(told.out)
    assert seen["layout"] == "transformers" and seen["problem"] is None and not seen["fetched"]
    assert not list(csm.cache.rglob("*.safetensors"))


def test_a_model_without_a_configuration_is_told_as_it_would_load(csm: Csm, hub: Hub, tmp_path: Path) -> None:
    folder, mimi = write_original(tmp_path / "model", TINY), write_mimi(tmp_path / "mimi", TINY)
    (folder / "config.json").unlink()
    hub.repositories["owner/miso"] = repository_of(folder)
    command = ["check", "owner/miso", "--codec", str(mimi)]
    assert "pass head_dims=" in csm.models(*command).refusal
    told = csm.models(*command, "--head-dims", "64", "128", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["layout"] == "original"
