"""What the server's tests share: one server for all that do not change it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.running import RunningServer, Stepped, running


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CSM_API_KEYS", "CSM_MODEL", "CSM_VOICES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def server(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    """A server with an engine of 4 rows, a queue of 16, and no keys."""
    with running(tiny_checkpoint) as server:
        yield server


@pytest.fixture
def stepped(server: RunningServer) -> Iterator[Stepped]:
    """The server's engine, which makes a frame only when it may."""
    stepped = Stepped(server.engine)
    yield stepped
    stepped.stop()
