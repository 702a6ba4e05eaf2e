"""Programs that people have, pointed at the server: the table in docs/dropin.md says which calls are served how."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.server.clients import javascript, openai_python, other_programs
from tests.server.clients.door import KEY, ROWS, Door
from tests.server.running import listening_port, running

PAGE = Path(__file__).parents[3] / "docs" / "dropin.md"
TABLE = re.compile(r"<!-- clients -->\n(.*?)\n<!-- /clients -->", re.DOTALL)
WHOSE = (openai_python, javascript, other_programs)
"""In whose modules the calls are, in the table's order."""


@pytest.fixture(scope="module")
def door(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    voices = tmp_path_factory.mktemp("voices")
    soundfile.write(voices / "ann.wav", 0.1 * np.random.default_rng(0).normal(size=24_000), 24_000)
    (voices / "ann.txt").write_text("This is me.")
    page = f"http://localhost:{listening_port()}"
    with running(tiny_checkpoint, api_keys=KEY, voices=voices, allowed_origins=(page,)) as server:
        yield Door(server, page, tmp_path_factory.mktemp("saved"))


@pytest.mark.parametrize("call", ROWS.values(), ids=lambda call: call.__name__)
def test_a_client_is_served(door: Door, call: Callable[[Door], Any]) -> None:
    outcome = call(door)
    if inspect.isawaitable(outcome):
        asyncio.run(asyncio.wait_for(outcome, 60))  # type: ignore[arg-type]


def test_the_table_of_clients_is_what_was_tried() -> None:
    lines = ["| client | call | what comes |", "| --- | --- | --- |"]
    modules = [module.__name__ for module in WHOSE]
    lines += [f"| {' | '.join(one)} |" for one in sorted(ROWS, key=lambda one: modules.index(ROWS[one].__module__))]
    found = TABLE.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[1].splitlines() == lines, "\n".join(lines)
