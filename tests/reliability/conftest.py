"""A server with many rows, for the tests of many callers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.running import RunningServer, running


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CSM_API_KEYS", "CSM_MODEL", "CSM_VOICES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    """A server with 8 rows and 32 places to wait, which takes a long pause for no hang."""
    with running(tiny_checkpoint, max_conversations=8, max_queue=32, hang_s=60) as server:
        yield server
