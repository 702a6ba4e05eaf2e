"""The server's switch of CUDA graphs reaches the engine."""

from __future__ import annotations

from typing import Any

import pytest

from csm_plugin.engine import Engine
from csm_plugin.server.app import load_engine
from csm_plugin.server.shared.settings import read_settings


@pytest.mark.parametrize(("said", "meant"), [({}, True), ({"CSM_GRAPHS": "false"}, False), ({"CSM_GRAPHS": "1"}, True)])
def test_graphs_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, said: dict[str, str], meant: bool) -> None:
    loaded: list[Any] = []
    monkeypatch.setattr(Engine, "load", lambda model, **options: loaded.append(options))
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    load_engine(read_settings())
    assert loaded[0]["graphs"] is meant
