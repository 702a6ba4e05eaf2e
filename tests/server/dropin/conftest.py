"""What the drop-in tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.running import Paced, RunningServer


@pytest.fixture
def paced(server: RunningServer) -> Iterator[Paced]:
    """The server's engine, no faster than real time."""
    paced = Paced(server.engine)
    yield paced
    paced.stop()
