"""What tests of several layers share: a small random checkpoint, and an engine on it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from csm_plugin.engine import Engine
from csm_plugin.model import checkpoint
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from tests import systems

DATA_HOMES = ("XDG_DATA_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA")
"""What tells platformdirs where a user's data lie: everywhere but on Windows, and there."""


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return systems.unread_file(module_path, parent)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    systems.skip_what_cannot_run(items)


@pytest.fixture(scope="session", autouse=True)
def data_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory for all tests, so that none reads or writes the user's own voices."""
    with pytest.MonkeyPatch.context() as patch:
        data = tmp_path_factory.mktemp("data")
        for name in DATA_HOMES:
            patch.setenv(name, str(data))
        patch.delenv("CSM_VOICES", raising=False)
        yield data


@pytest.fixture(autouse=True)
def own_voices(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own folder of the user's own voices; not there yet."""
    data = tmp_path_factory.mktemp("own-data")
    for name in DATA_HOMES:
        monkeypatch.setenv(name, str(data))
    return data / "csm-plugin" / "voices"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 8 codebooks with random weights: speaks noise, never ends by itself."""
    return write_random_checkpoint(tmp_path_factory.mktemp("tiny"), "tiny")


@pytest.fixture
def small_csm_tiny(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `csm-tiny` be that checkpoint, which loads in no time, with the voices of csm-tiny."""
    place = tmp_path / "bundled" / "csm-tiny"
    shutil.copytree(tiny_checkpoint, place, copy_function=os.link)
    (place / "voices").symlink_to(checkpoint.BUNDLED / "csm-tiny" / "voices")
    monkeypatch.setattr(checkpoint, "BUNDLED", place.parent)


@pytest.fixture
def engine(tiny_checkpoint: Path) -> Iterator[Engine]:
    with Engine.load(tiny_checkpoint, max_conversations=4) as engine:
        yield engine


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until something holds, at most 10 s."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < deadline, "did not come true within 10 s"
            time.sleep(0.002)

    return wait
