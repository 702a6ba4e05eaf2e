"""`csm models list` and `remove`: what is here, what is known, and what goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from csm_plugin.model.known import KNOWN, UNGATED_COPIES
from tests.hub import replicas
from tests.hub.conftest import Csm
from tests.hub.stand_in import Hub, Repository
from tests.replicas.repositories import write_csm_1b
from tests.replicas.tensors import SMALL

MODEL = "sesame/csm-1b"


def listed(csm: Csm) -> Any:
    told = csm.models("list", "--json")
    assert told.code == 0, told.err
    return json.loads(told.out)


def test_where_nothing_was_fetched_the_bundled_and_the_known_ones_are_listed(csm: Csm, hub: Hub) -> None:
    told = listed(csm)
    assert [one["name"] for one in told["bundled"]] == ["csm-tiny"] and told["bundled"][0]["bytes"] > 1_000_000
    assert told["cached"] == []
    assert [one["hub_id"] for one in told["known"]] == [one.hub_id for one in KNOWN]
    assert hub.asked == []


def test_what_is_cached_is_listed_with_its_size_and_no_longer_among_the_others(csm: Csm, hub: Hub) -> None:
    hub.repositories[MODEL] = repository = replicas.csm_1b()
    folder = csm.fetch(MODEL).folder

    told = listed(csm)

    size = sum(len(repository.files[name]) for name in replicas.CSM_1B_WANTED)
    assert told["cached"] == [
        {
            "hub_id": MODEL,
            "kind": "model",
            "bytes": size,
            "folder": str(folder),
            "revisions": ["main"],
            "missing": [],
        }
    ]
    assert MODEL not in [one["hub_id"] for one in told["known"]]


def test_models_of_other_programs_are_not_listed(csm: Csm, hub: Hub) -> None:
    hub.repositories["owner/fine-tune"] = replicas.original()
    hub.repositories["owner/llama"] = replicas.holding("model.safetensors", config={"model_type": "llama"})
    hub.repositories["owner/adapter"] = adapter = replicas.holding("adapter_config.json", "adapter_model.safetensors")
    adapter.files["adapter_config.json"] = b'{"base_model_name_or_path": "unsloth/csm-1b"}'
    hub.repositories["kyutai/mimi"] = replicas.holding("model.safetensors", config={"model_type": "mimi"})
    for model, kind in (("fine-tune", "model"), ("llama", "model"), ("adapter", "adapter")):
        assert csm.fetch(f"owner/{model}", "--kind", kind).code == 0
    assert csm.fetch("kyutai/mimi", "--kind", "codec").code == 0

    kinds = {one["hub_id"]: one["kind"] for one in listed(csm)["cached"]}
    assert kinds == {"kyutai/mimi": "codec", "owner/adapter": "adapter", "owner/fine-tune": "model"}


def test_an_unfinished_download_is_listed_as_such_and_goes_whole(csm: Csm, hub: Hub) -> None:
    hub.repositories[MODEL] = replicas.csm_1b()
    shard = "transformers-00001-of-00002.safetensors"
    hub.breaks[shard] = [1_500_000] * 4
    assert csm.fetch(MODEL).code == 1

    (cached,) = listed(csm)["cached"]
    assert shard in cached["missing"] and cached["bytes"] > 1_500_000
    assert f"unfinished: {shard}, " in csm.models("list").out

    assert csm.models("remove", MODEL, "--yes").code == 0
    assert not list(csm.cache.glob("models--*"))


def test_for_people_there_are_two_tables(csm: Csm) -> None:
    told = csm.models("list").out
    assert "csm-tiny" in told and "bundled" in told
    assert "sesame/csm-1b" in told and "7.2 GB" in told and "its terms accepted and HF_TOKEN" in told
    assert "—" in told


def test_a_model_is_removed_whole_or_by_its_revision(csm: Csm, hub: Hub) -> None:
    hub.repositories[MODEL] = repository = replicas.csm_1b(revisions=("main", "v2"))
    old = csm.fetch(MODEL).folder
    repository.commit = "e" * 40
    repository.files["config.json"] += b" "
    new = csm.fetch(f"{MODEL}@v2").folder

    assert csm.models("remove", f"{MODEL}@v2", "--yes").code == 0
    assert old.is_dir() and not new.exists()
    assert "holds no revision 'v2' of sesame/csm-1b; it holds main" in csm.models("remove", f"{MODEL}@v2").refusal

    done = csm.models("remove", MODEL, "--yes")
    assert done.code == 0 and "removed sesame/csm-1b: 3." in done.err and "MB are free again" in done.err
    assert not old.exists()


def test_without_anybody_to_ask_nothing_is_removed(csm: Csm, hub: Hub) -> None:
    hub.repositories[MODEL] = replicas.csm_1b()
    folder = csm.fetch(MODEL).folder
    assert "nobody to ask before it is removed; give --yes" in csm.models("remove", MODEL).refusal
    assert folder.is_dir()


@pytest.mark.parametrize(("answer", "code"), [("\n", 1), ("y\n", 0)])
def test_it_is_removed_only_when_the_answer_is_yes(csm: Csm, hub: Hub, answer: str, code: int) -> None:
    hub.repositories[MODEL] = replicas.csm_1b()
    folder = csm.fetch(MODEL).folder
    asks = f"import io; sys.stdin = io.StringIO({answer!r}); sys.stdin.isatty = lambda: True"

    told = csm.models("remove", MODEL, before=asks)

    assert told.code == code and folder.is_dir() == (code != 0)
    assert "from the hub's cache, which other programs share? [y/N]" in told.err


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("csm-tiny", "csm-tiny is a part of csm-plugin; it goes when"),
        (".", "is a folder of yours"),
        ("nonsense", "there is no model 'nonsense'"),
        ("owner/name", "owner/name is not in the hub's cache; `csm models list` shows"),
    ],
)
def test_what_is_not_the_caches_is_not_removed(csm: Csm, model: str, told: str) -> None:
    assert told in csm.models("remove", model, "--yes").refusal


def test_the_table_of_known_ones_agrees_with_the_listing_of_csm_1b() -> None:
    (csm_1b,) = (one for one in KNOWN if one.hub_id == MODEL)
    assert csm_1b.bytes == sum(replicas.CSM_1B_SIZES[name] for name in replicas.CSM_1B_WANTED)
    assert csm_1b.gated and UNGATED_COPIES == ("unsloth/csm-1b", "eustlb/csm-1b")


def test_a_model_on_the_hub_is_checked_by_its_headers(csm: Csm, hub: Hub, tmp_path: Path) -> None:
    folder = write_csm_1b(tmp_path / "replica", SMALL.with_layers(2, 1))
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    hub.repositories["sesame/csm-1b"] = Repository(files)
    told = csm.models("check", "sesame/csm-1b", "--json")
    assert told.code == 0, told.err
    report = json.loads(told.out)
    assert report["layout"] == "transformers" and report["problem"] is None and not report["fetched"]
    assert report["parameters"]["depth decoder"] > 0
    shards = [f"transformers-0000{number}-of-00002.safetensors" for number in (1, 2)]
    assert set(report["files"]) == set(shards)
    assert all(asked is not None for name in shards for asked in hub.ranges(name)), "only parts are asked for"
    assert not list(csm.cache.rglob("transformers-*.safetensors")), "and none of them is kept"


def test_files_that_are_broken_or_odd_are_listed_as_such(csm: Csm, hub: Hub) -> None:
    hub.repositories[MODEL] = replicas.csm_1b()
    hub.repositories["owner/odd"] = odd = replicas.holding("adapter_config.json", "adapter_model.safetensors")
    odd.files["adapter_config.json"] = b'{"base_model_name_or_path": ["unsloth/csm-1b"]}'
    folder = csm.fetch(MODEL).folder
    assert csm.fetch("owner/odd", "--kind", "adapter").code == 0
    (folder / "config.json").write_bytes(b"\xff")

    (cached,) = listed(csm)["cached"]
    assert cached["hub_id"] == MODEL and cached["missing"] == ["weights that can be read"]
    assert "config.json cannot be read as JSON" in csm.fetch(str(folder)).refusal


def test_what_no_folder_can_be_called_is_not_removed_either(csm: Csm) -> None:
    for model in ("~nobody-of-that-name/x", "x" * 5_000):
        assert "there is no model" in csm.models("remove", model, "--yes").refusal
