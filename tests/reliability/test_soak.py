"""Hours in minutes: memory does not grow with what was said."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from tests.server.running import RunningServer, running
from tests.server.socket_client import Client, client
from tests.server.test_limits import resident_mib

SHORT = {"seed": 1, "max_seconds": 0.4, "trim_silence": False}


@pytest.fixture
def quiet() -> Iterator[None]:
    """Without a log: pytest would keep it."""
    logger.disable("csm_plugin")
    yield
    logger.enable("csm_plugin")


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("count", "most_mib"), [(500, 10), (5_000, 5)])
async def test_memory_stays_where_it_is(tiny_checkpoint: Path, count: int, most_mib: float) -> None:
    with running(tiny_checkpoint, max_conversations=4) as server:
        fail_now_and_then(server)
        chance = random.Random(13)
        ends: dict[str, int] = {}
        await talk(server, max(200, count // 10), chance, {})
        resident = [resident_mib()]
        for _ in range(2):
            await talk(server, count // 2, chance, ends)
            resident.append(resident_mib())
    first, second = (b - a for a, b in itertools.pairwise(resident))
    told = ", ".join(f"{number} {reason}" for reason, number in sorted(ends.items()))
    print(f"{count:,} utterances ({told}) on {resident[0]:.0f} MiB: {first:+.1f} MiB, then {second:+.1f} MiB")
    assert second <= most_mib
    assert ends["error"] > count * 0.02
    assert ends["cancelled"] > count * 0.1


def fail_now_and_then(server: RunningServer) -> None:
    model, chance = server.engine._model, random.Random(5)
    prefill = model.prefill

    def fail(*arguments: Any) -> None:
        if chance.random() < 0.07:
            raise ValueError("a fault")
        prefill(*arguments)

    model.prefill = fail  # type: ignore[method-assign]


async def talk(server: RunningServer, count: int, chance: random.Random, ends: dict[str, int]) -> None:
    """Have so many things said, in conversations of 50, each on a socket of its own."""
    for start in range(0, count, 50):
        async with client(server.ws) as one:
            await one.send("open", conversation=1, sampling=SHORT)
            for number in range(start, min(start + 50, count)):
                reason = await say(one, number, chance.random() < 0.2)
                ends[reason] = ends.get(reason, 0) + 1


async def say(one: Client, number: int, cancelled: bool) -> str:
    await one.send("speak", conversation=1, number=number, text="A sentence of some words.")
    if cancelled:
        await one.until("began", number=number)
        await one.send("cancel", conversation=1, number=number)
    reason: str = (await one.until("ended", number=number))["reason"]
    await one.until("done", number=number)
    one.heard.clear()
    one.messages.clear()
    return reason
