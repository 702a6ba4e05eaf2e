"""A model that fails: whom it concerns is told, the others hear nothing of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.reliability.test_crowds import LONG_TEXT, alike
from tests.server.running import RunningServer
from tests.server.socket_client import Heard, client
from tests.server.test_limits import resident_mib

TWENTY = {"seed": 5, "max_seconds": 1.6, "trim_silence": False}


async def said(server: RunningServer, text: str = "Hello there.") -> Heard:
    async with client(server.ws) as one:
        await one.send("open", conversation=1, ledger=True)
        return await one.say(1, 1, text, sampling=TWENTY)


async def test_numbers_that_are_none_end_their_own_stream_only(server: RunningServer) -> None:
    """One row's keys and values become NaN while four speak."""
    expected = await said(server)
    model, stepper = server.engine._model, server.engine._scheduler.live_batch.stepper
    launch, steps, spoilt = stepper.launch, 0, []

    def spoil(rows: list[int], lengths: list[int], ranks: int) -> Any:
        nonlocal steps
        steps += len(rows) == 4
        if steps == 5 and not spoilt:
            spoilt.append(rows[1])
            with torch.inference_mode():
                model.cache.data[:, rows[1], 1] = torch.nan
        return launch(rows, lengths, ranks)

    stepper.launch = spoil  # type: ignore[method-assign]
    try:
        heard = await asyncio.gather(*(said(server) for _ in range(4)))
    finally:
        stepper.launch = launch  # type: ignore[method-assign]
    assert spoilt
    failed = [one for one in heard if one.ended[0]["reason"] == "error"]
    assert len(failed) == 1
    assert failed[0].ended[0]["error"]["code"] == "generation_failed"
    assert failed[0].codes and expected.codes.startswith(failed[0].codes)  # what came before was good
    assert all(alike(one, expected) for one in heard if one is not failed[0])
    again = await asyncio.gather(*(said(server) for _ in range(8)))  # the spoilt row among them
    assert all(alike(one, expected) for one in again)
    print(f"1 of 4 failed after {len(failed[0].pcm) // 3_840} good frames; 3 as alone; all 8 rows speak as before")


@pytest.mark.parametrize("where", ["prefill", "step"])
async def test_memory_that_runs_out_comes_back(tiny_checkpoint: Path, server: RunningServer, where: str) -> None:
    engine = server.engine
    expected = await said(server, LONG_TEXT)
    await said(server, LONG_TEXT)
    before_mib = resident_mib()
    what, name = (engine._model, "prefill") if where == "prefill" else (engine._scheduler.live_batch.stepper, "launch")
    work, failing = getattr(what, name), True

    def fail(*arguments: Any) -> Any:
        if failing:
            wasted = np.ones(32 * 2**20)
            raise MemoryError(f"out of memory beside {wasted.nbytes} bytes")
        return work(*arguments)

    setattr(what, name, fail)
    try:
        for _ in range(2):
            (ended,) = (await said(server, LONG_TEXT)).ended
            assert (ended["reason"], ended["error"]["code"]) == ("error", "generation_failed")
        failing = False
        assert alike(await said(server, LONG_TEXT), expected)
    finally:
        setattr(what, name, work)
        server.service.keeper._memory_failures.clear()
    grown = resident_mib() / before_mib - 1
    print(f"out of memory at a {where}, twice: typed errors, then as before; memory {grown:+.1%}")
    assert grown < 0.05
