"""What tests of several layers share: a small random checkpoint, and an engine on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from csm_plugin.engine import Engine
from csm_plugin.model.random_checkpoint import write_random_checkpoint


@pytest.fixture(scope="session", autouse=True)
def data_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory for all tests, so that none reads or writes the user's own voices."""
    with pytest.MonkeyPatch.context() as patch:
        data = tmp_path_factory.mktemp("data")
        patch.setenv("XDG_DATA_HOME", str(data))
        patch.delenv("CSM_VOICES", raising=False)
        yield data


@pytest.fixture(autouse=True)
def own_voices(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own folder of the user's own voices; not there yet."""
    data = tmp_path_factory.mktemp("own-data")
    monkeypatch.setenv("XDG_DATA_HOME", str(data))
    return data / "csm-plugin" / "voices"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 8 codebooks with random weights: speaks noise, never ends by itself."""
    return write_random_checkpoint(tmp_path_factory.mktemp("tiny"), "tiny")


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
