"""Downloads that break off, disks that are full, hubs that are away: what came is kept, and nothing wrong is used."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hub import replicas
from tests.hub.conftest import Csm, files_in
from tests.hub.stand_in import Hub, Repository

MODEL = "sesame/csm-1b"
SHARD, OTHER_SHARD = (f"transformers-0000{number}-of-00002.safetensors" for number in (1, 2))
GIVES_UP_AFTER = 4
"""Connections for one file: the one that brings something, and three that bring nothing."""


@pytest.fixture
def repository(hub: Hub) -> Repository:
    hub.repositories[MODEL] = replicas.csm_1b()
    return hub.repositories[MODEL]


def partial(csm: Csm, repository: Repository, name: str = SHARD) -> Path:
    return csm.cache / "models--sesame--csm-1b" / "blobs" / f"{repository.digest(name)}.incomplete"


def free_space(free: int) -> str:
    """Python that lets every disk have that many bytes free."""
    return f"import shutil; shutil.disk_usage = lambda path: shutil._ntuple_diskusage(2**60, 0, {free})"


def test_a_download_that_broke_off_is_gone_on_with_where_it_stopped(csm: Csm, hub: Hub, repository: Repository) -> None:
    hub.breaks[SHARD] = [1_500_000] * GIVES_UP_AFTER
    told = csm.fetch(MODEL).refusal
    assert "the download of sesame/csm-1b@main broke off (" in told and "goes on where it stopped" in told
    came = partial(csm, repository).stat().st_size
    assert came == 1_500_000
    hub.asked.clear()

    folder = csm.fetch(MODEL).folder

    assert hub.ranges(SHARD) == [f"bytes={came}-"]
    assert set(hub.fetched()) == {SHARD, OTHER_SHARD}
    assert files_in(folder) == replicas.CSM_1B_WANTED
    assert (folder / SHARD).read_bytes() == repository.files[SHARD]
    assert not partial(csm, repository).exists()


def test_a_connection_that_breaks_once_is_made_again_at_once(csm: Csm, hub: Hub, repository: Repository) -> None:
    hub.breaks[SHARD] = [1_500_000, 2_000_000]
    assert (csm.fetch(MODEL).folder / SHARD).read_bytes() == repository.files[SHARD]
    assert hub.ranges(SHARD) == [None, "bytes=1500000-", "bytes=2000000-"]


def test_two_programs_that_fetch_the_same_at_once_fetch_it_once(csm: Csm, hub: Hub, repository: Repository) -> None:
    with ThreadPoolExecutor(2) as both:
        one, other = both.map(csm.fetch, [MODEL, MODEL])
    assert one.folder == other.folder and files_in(one.folder) == replicas.CSM_1B_WANTED
    assert hub.ranges(SHARD) == hub.ranges(OTHER_SHARD) == [None]


def test_where_there_are_no_links_the_files_themselves_lie_in_the_snapshot(
    csm: Csm, hub: Hub, repository: Repository
) -> None:
    no_links = "import pathlib\ndef refuse(*_): raise OSError('no links here')\npathlib.Path.symlink_to = refuse"
    folder = csm.fetch(MODEL, before=no_links).folder
    assert files_in(folder) == replicas.CSM_1B_WANTED and not any(path.is_symlink() for path in folder.rglob("*"))
    hub.asked.clear()
    assert csm.fetch(MODEL, before=no_links).folder == folder and hub.fetched() == []


def test_a_host_that_sends_everything_again_does_no_harm(csm: Csm, hub: Hub, repository: Repository) -> None:
    hub.breaks[SHARD] = [1_500_000]
    hub.ignores_ranges = True
    assert (csm.fetch(MODEL).folder / SHARD).read_bytes() == repository.files[SHARD]


@pytest.mark.parametrize("left", [b"something else", bytes(4_000_000)], ids=["shorter", "longer"])
def test_a_beginning_that_is_wrong_is_found_out_and_fetched_anew(
    csm: Csm, hub: Hub, repository: Repository, left: bytes
) -> None:
    partial(csm, repository).parent.mkdir(parents=True)
    partial(csm, repository).write_bytes(left)
    if len(left) < len(repository.files[SHARD]):
        assert f"{SHARD} of sesame/csm-1b@main arrived damaged and was thrown away" in csm.fetch(MODEL).refusal
    assert (csm.fetch(MODEL).folder / SHARD).read_bytes() == repository.files[SHARD]


def test_a_file_that_arrives_with_other_bytes_is_thrown_away(csm: Csm, hub: Hub, repository: Repository) -> None:
    hub.damages.add(OTHER_SHARD)
    assert f"{OTHER_SHARD} of sesame/csm-1b@main arrived damaged" in csm.fetch(MODEL).refusal
    assert not partial(csm, repository, OTHER_SHARD).exists()
    assert not list(csm.cache.glob(f"*/snapshots/*/{OTHER_SHARD}"))


def test_a_disk_that_is_too_small_for_the_real_sizes_is_found_out_before(csm: Csm, hub: Hub) -> None:
    read = {"config.json", "transformers.safetensors.index.json"}
    sizes = {name: size for name, size in replicas.CSM_1B_SIZES.items() if name not in read}
    hub.repositories[MODEL] = replicas.csm_1b(listed_sizes=sizes)

    told = csm.fetch(MODEL, before=free_space(7_000_000_000)).refusal

    assert f"no space for sesame/csm-1b in {csm.cache}: 7.4 GB are needed and 7.0 GB are free" in told
    assert "set HF_HOME to a folder on a larger disk" in told
    assert set(hub.fetched()) == read


def test_what_came_already_needs_no_space_again(csm: Csm, hub: Hub, repository: Repository) -> None:
    hub.breaks[SHARD] = [1_500_000] * GIVES_UP_AFTER
    assert csm.fetch(MODEL).code == 1
    rest = sum(len(repository.files[name]) for name in (SHARD, OTHER_SHARD)) - 1_500_000
    margin = 256 * 2**20

    assert "no space" in csm.fetch(MODEL, before=free_space(rest + margin - 1)).refusal
    assert csm.fetch(MODEL, before=free_space(rest + margin)).code == 0


def test_a_disk_that_becomes_full_on_the_way_is_named(csm: Csm, hub: Hub, repository: Repository) -> None:
    full = "import errno\ndef no_room(*_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
    full += "transfer._go_on = no_room"
    assert "there is no space for sesame/csm-1b" in csm.fetch(MODEL, before=full).refusal


def test_a_cache_that_cannot_be_written_is_named(csm: Csm, repository: Repository) -> None:
    csm.home.mkdir()
    csm.cache.write_text("a file where the cache should be")
    assert f"cannot be written into the cache {csm.cache}" in csm.fetch(MODEL).refusal


def test_offline_a_snapshot_that_is_complete_is_used(csm: Csm, hub: Hub, repository: Repository) -> None:
    folder = csm.fetch(MODEL).folder
    hub.asked.clear()
    assert csm.fetch(MODEL, HF_HUB_OFFLINE="1").folder == folder
    assert hub.asked == []


def test_a_hub_that_is_away_or_down_does_as_little_harm(csm: Csm, hub: Hub, repository: Repository) -> None:
    folder = csm.fetch(MODEL).folder
    assert csm.fetch(MODEL, HF_ENDPOINT="http://127.0.0.1:9").folder == folder
    hub.down = True
    assert csm.fetch(MODEL).folder == folder


def test_offline_without_a_cache_it_says_so(csm: Csm, hub: Hub, repository: Repository) -> None:
    told = csm.fetch(MODEL, HF_HUB_OFFLINE="1").refusal
    assert "is not on this machine and the hub cannot be reached (HF_HUB_OFFLINE is set): connect once" in told
    hub.down = True
    assert "the hub cannot be reached (status 503)" in csm.fetch(MODEL).refusal


def test_offline_a_download_that_broke_off_is_refused_and_what_is_missing_is_named(
    csm: Csm, hub: Hub, repository: Repository
) -> None:
    hub.breaks[OTHER_SHARD] = [1_000] * GIVES_UP_AFTER
    assert csm.fetch(MODEL).code == 1

    told = csm.fetch(MODEL, HF_HUB_OFFLINE="1").refusal

    assert "is only partly on this machine" in told and f"missing is {OTHER_SHARD}; connect and run it again" in told


def test_offline_a_cache_that_others_left_half_full_is_refused_by_name(csm: Csm, repository: Repository) -> None:
    folder = csm.fetch(MODEL).folder
    for gone, named in (
        ((SHARD, OTHER_SHARD), f"missing are {SHARD}, {OTHER_SHARD}"),
        (("transformers.safetensors.index.json",), "missing is transformers.safetensors.index.json"),
        (("config.json",), "missing is config.json"),
    ):
        for name in gone:
            (folder / name).unlink()
        assert named in csm.fetch(MODEL, HF_HUB_OFFLINE="1").refusal


def test_while_an_update_is_unfinished_the_older_snapshot_serves_offline(
    csm: Csm, hub: Hub, repository: Repository
) -> None:
    old = csm.fetch(MODEL).folder
    repository.commit = "e" * 40
    repository.files[SHARD] = bytes(2_000_000)
    hub.breaks[SHARD] = [1_000_000] * GIVES_UP_AFTER
    assert csm.fetch(MODEL).code == 1
    assert csm.fetch(MODEL, HF_HUB_OFFLINE="1").folder == old

    new = csm.fetch(MODEL).folder

    assert new != old and csm.fetch(MODEL, HF_HUB_OFFLINE="1").folder == new
