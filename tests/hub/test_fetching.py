"""`csm models fetch` against a stand-in of the hub: only what is needed comes, and every refusal tells what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub import replicas
from tests.hub.conftest import Csm, files_in
from tests.hub.stand_in import Hub

SHARD = "transformers-00001-of-00002.safetensors"
MODULES = "import atexit; atexit.register(lambda: print([n for n in ('torch', 'transformers') if n in sys.modules]))"


def test_of_csm_1b_the_transformers_weights_come_and_the_original_ones_do_not(csm: Csm, hub: Hub) -> None:
    hub.repositories["sesame/csm-1b"] = repository = replicas.csm_1b()

    folder = csm.fetch("sesame/csm-1b").folder

    assert folder == csm.cache / "models--sesame--csm-1b" / "snapshots" / repository.commit
    assert files_in(folder) == set(hub.fetched()) == replicas.CSM_1B_WANTED
    assert all((folder / name).read_bytes() == repository.files[name] for name in replicas.CSM_1B_WANTED)
    assert hub.fetched()[-2:] == [SHARD, SHARD.replace("1-of", "2-of")]


def test_huggingface_finds_all_of_it_in_its_own_cache(csm: Csm, hub: Hub) -> None:
    from huggingface_hub import hf_hub_download, scan_cache_dir

    hub.repositories["sesame/csm-1b"] = replicas.csm_1b()
    folder = csm.fetch("sesame/csm-1b").folder

    for name in replicas.CSM_1B_WANTED:
        found = hf_hub_download("sesame/csm-1b", name, cache_dir=csm.cache, local_files_only=True)
        assert Path(found) == folder / name
    scanned = scan_cache_dir(csm.cache)
    assert not scanned.warnings and [one.repo_id for one in scanned.repos] == ["sesame/csm-1b"]


def test_a_second_time_nothing_is_fetched_but_the_list(csm: Csm, hub: Hub) -> None:
    hub.repositories["sesame/csm-1b"] = replicas.csm_1b()
    first = csm.fetch("sesame/csm-1b").folder
    hub.asked.clear()

    assert csm.fetch("sesame/csm-1b").folder == first
    assert [one.path for one in hub.asked] == ["/api/models/sesame/csm-1b/revision/main"]


def test_a_checkpoint_in_the_original_layout_is_fetched_the_same_way(csm: Csm, hub: Hub) -> None:
    hub.repositories["someone/csm-fine"] = replicas.original()
    assert files_in(csm.fetch("someone/csm-fine").folder) == {"config.json", "model.safetensors"}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("codec", {"config.json", "model.safetensors"}),
        ("tokenizer", {"tokenizer.json", "tokenizer_config.json"}),
        ("adapter", {"adapter_config.json", "adapter_model.safetensors"}),
    ],
)
def test_of_a_codec_a_tokenizer_and_an_adapter_other_files_come(csm: Csm, hub: Hub, kind: str, names: set[str]) -> None:
    others = ("adapter_model.bin", "optimizer.pt", "pytorch_model.bin", "tokenizer.model")
    every = {"adapter_config.json", "adapter_model.safetensors", "model.safetensors", *others}
    every |= {"tokenizer.json", "tokenizer_config.json"}
    hub.repositories["owner/name"] = replicas.holding(*every, config={"model_type": "mimi"})
    assert files_in(csm.fetch("owner/name", "--kind", kind).folder) == names


def test_a_revision_may_be_named_after_an_at_sign(csm: Csm, hub: Hub) -> None:
    hub.repositories["owner/name"] = one = replicas.original()
    one.commit, one.revisions = "d" * 40, ("v2", "refs/pr/1")
    for revision in ("v2", "refs/pr/1", "d" * 40):
        assert csm.fetch(f"owner/name@{revision}").folder.name == "d" * 40
    assert csm.fetch("owner/name@refs/pr/1", HF_HUB_OFFLINE="1").folder.name == "d" * 40
    assert "has no revision 'main' on the hub; name a branch" in csm.fetch("owner/name").refusal


def test_a_revision_that_is_not_there_is_named(csm: Csm, hub: Hub) -> None:
    hub.repositories["owner/name"] = replicas.original()
    assert "owner/name has no revision 'v9' on the hub; name a branch, a tag" in csm.fetch("owner/name@v9").refusal


def test_a_gated_repository_says_how_to_get_access_and_names_the_open_copies(csm: Csm, hub: Hub) -> None:
    hub.repositories["sesame/csm-1b"] = replicas.csm_1b(gated=True)
    told = csm.fetch("sesame/csm-1b").refusal
    assert "is gated: accept its terms on its hub page and set HF_TOKEN" in told
    assert told.endswith("or use an ungated copy: unsloth/csm-1b or eustlb/csm-1b")

    hub.repositories["owner/tokenizer"] = replicas.csm_1b(gated=True)
    assert csm.fetch("owner/tokenizer", "--kind", "tokenizer").refusal.endswith("or use an ungated copy")


def test_the_token_opens_a_gated_repository_and_goes_to_no_other_host(csm: Csm, hub: Hub) -> None:
    hub.repositories["sesame/csm-1b"] = replicas.csm_1b(gated=True)

    assert files_in(csm.fetch("sesame/csm-1b", HF_TOKEN="hf_accepted").folder) == replicas.CSM_1B_WANTED
    assert {one.token for one in hub.asked if one.host == "hub"} == {"hf_accepted"}
    assert {one.token for one in hub.asked if one.host == "files"} == {None}


def test_the_stored_login_is_used_too(csm: Csm, hub: Hub) -> None:
    hub.repositories["sesame/csm-1b"] = replicas.csm_1b(gated=True)
    csm.home.mkdir()
    (csm.home / "token").write_text("hf_accepted\n")
    assert csm.fetch("sesame/csm-1b").folder.is_dir()


def test_a_token_that_the_hub_refuses_is_not_called_a_missing_model_and_not_shown(csm: Csm, hub: Hub) -> None:
    hub.repositories["sesame/csm-1b"] = replicas.csm_1b(gated=True)
    told = csm.fetch("sesame/csm-1b", HF_TOKEN="hf_forgotten").refusal
    assert "refuses sesame/csm-1b to this token (status 401): set HF_TOKEN to one that is valid" in told
    assert "hf_forgotten" not in told


def test_an_unknown_model_says_so(csm: Csm) -> None:
    assert "no model 'sesame/csm-2b' that this token may see; check the spelling" in csm.fetch("sesame/csm-2b").refusal


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("ckpt.pt",), "ckpt.pt is in a format that can run code and is never opened); convert the weights"),
        (("csm.Q8_0.gguf",), "csm.Q8_0.gguf is a GGUF, for llama.cpp and its like; take the repository that it was"),
    ],
)
def test_a_repository_without_weights_that_can_be_read_is_refused_and_none_are_fetched(
    csm: Csm, hub: Hub, names: tuple[str, ...], told: str
) -> None:
    hub.repositories["owner/name"] = replicas.holding(*names, config={"model_type": "csm"})
    assert told in csm.fetch("owner/name").refusal
    assert hub.fetched() == ["config.json"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("csm.gguf",), "holds no config.json: it holds a GGUF"),
        (
            ("adapter_config.json", "adapter_model.safetensors"),
            "holds no config.json: it is an adapter; load the model",
        ),
        (("README.md",), "holds no config.json; a model needs config.json"),
    ],
)
def test_a_repository_without_a_configuration_is_refused(csm: Csm, hub: Hub, names: tuple[str, ...], told: str) -> None:
    hub.repositories["owner/name"] = replicas.holding(*names)
    assert told in csm.fetch("owner/name").refusal
    assert hub.fetched() == []


def test_a_model_whose_sizes_stand_in_its_own_program_needs_no_configuration(csm: Csm, hub: Hub) -> None:
    hub.repositories["owner/name"] = replicas.holding("model.safetensors", "README.md")
    assert files_in(csm.fetch("owner/name").folder) == {"model.safetensors"}
    assert csm.fetch("owner/name", HF_HUB_OFFLINE="1").code == 0


def test_weights_that_lie_outside_of_the_repository_are_refused(csm: Csm, hub: Hub) -> None:
    outside = "../../evil.safetensors"
    config = {"transformers_weights": outside}
    hub.repositories["owner/one"] = replicas.holding("model.safetensors", outside, config=config)
    assert f"config.json names '{outside}' in transformers_weights; a plain file" in csm.fetch("owner/one").refusal

    hub.repositories["owner/two"] = repository = replicas.csm_1b()
    index = "transformers.safetensors.index.json"
    repository.files[index] = repository.files[index].replace(SHARD.encode(), outside.encode())
    assert f"{index} names the shard '{outside}'; a plain file name" in csm.fetch("owner/two").refusal
    assert not any(name.endswith("safetensors") for name in hub.fetched())


def test_a_shard_that_the_repository_lacks_is_named_before_anything_large_is_fetched(csm: Csm, hub: Hub) -> None:
    hub.repositories["owner/name"] = repository = replicas.csm_1b()
    del repository.files[SHARD]
    assert f"owner/name lacks the shard {SHARD}" in csm.fetch("owner/name").refusal
    assert hub.ranges(SHARD.replace("1-of", "2-of")) == []


@pytest.mark.parametrize("name", ["config.json", "transformers.safetensors.index.json"])
def test_a_configuration_that_is_none_is_named(csm: Csm, hub: Hub, name: str) -> None:
    hub.repositories["owner/name"] = repository = replicas.csm_1b()
    repository.files[name] = b"[" * 100_000
    assert name in csm.fetch("owner/name").refusal


def test_a_configuration_too_large_to_be_one_is_not_fetched(csm: Csm, hub: Hub) -> None:
    hub.repositories["owner/name"] = replicas.csm_1b(listed_sizes={"config.json": 10**12})
    assert "config.json has 1000.0 GB; at most 67.1 MB are read" in csm.fetch("owner/name").refusal
    assert hub.fetched() == []


def test_something_that_is_no_hub_is_named(csm: Csm, hub: Hub) -> None:
    told = csm.fetch("owner/name", HF_ENDPOINT=hub.files_url).refusal
    assert "owner/name" in told and "cannot be reached" in told


def test_on_a_terminal_a_bar_counts_all_the_bytes_and_elsewhere_the_log_does(csm: Csm, hub: Hub) -> None:
    hub.repositories["sesame/csm-1b"] = repository = replicas.csm_1b()
    large = sum(len(repository.files[name]) for name in replicas.CSM_1B_WANTED) / 1e6

    shown = csm.fetch("sesame/csm-1b", FORCE_COLOR="1")
    assert shown.code == 0 and "sesame/csm-1b" in shown.err and f"{large:.1f} MB" in shown.err
    assert csm.models("remove", "sesame/csm-1b", "--yes").code == 0
    assert csm.fetch("sesame/csm-1b").err == ""
    assert csm.models("remove", "sesame/csm-1b", "--yes").code == 0
    assert "fetching checkpoint {'model': 'sesame/csm-1b', 'bytes': 3" in csm.fetch("sesame/csm-1b", "--debug").err


def test_fetching_loads_neither_torch_nor_transformers(csm: Csm, hub: Hub) -> None:
    hub.repositories["sesame/csm-1b"] = replicas.csm_1b()
    assert csm.fetch("sesame/csm-1b", before=MODULES).out.splitlines()[-1] == "[]"
