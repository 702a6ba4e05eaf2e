"""What the command line's tests share."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from csm_plugin.cli import doctor, say
from tests.cli.speaking_engine import Engine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine that the command loads, whatever its model is called."""
    stand_in = Engine()
    for module in (say, doctor):
        monkeypatch.setattr(module, "load_engine", lambda model, device, parts=None: stand_in)
        monkeypatch.setattr(module, "check_model", lambda model, voices=(): None)
    return stand_in


@pytest.fixture
def pipe_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Put bytes on standard input."""

    def pipe(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))

    return pipe
