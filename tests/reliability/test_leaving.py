"""Callers who leave or change their mind: nothing is made for them afterwards, and nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time

import numpy as np
import pytest

from csm_plugin.server.socket.talk import Talk
from tests.reliability.test_crowds import ENDLESS, LONG_TEXT
from tests.server.running import RunningServer, wait_until
from tests.server.socket_client import Client, client

TWENTY = {"seed": 5, "max_seconds": 1.6, "trim_silence": False}


async def first_sound_s(one: Client, number: int) -> float:
    """Have something said; return how long its first sound took."""
    began = time.perf_counter()
    await one.send("speak", conversation=1, number=number, text=LONG_TEXT, sampling=ENDLESS)
    await one.until("binary", number=number)
    return time.perf_counter() - began


def counts(server: RunningServer) -> tuple[int, int, int]:
    stats = server.engine.stats()
    return stats.live_rows, stats.queued, stats.conversations


@pytest.mark.parametrize("count", [50, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])])
async def test_who_leaves_is_forgotten_within_two_steps(
    server: RunningServer, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, chance = server.engine, random.Random(3)
    stepped_at_close: list[int] = []
    close = Talk.close

    async def noted(talk: Talk) -> None:
        stepped_at_close.append(engine.stats().frames_stepped)
        await close(talk)

    monkeypatch.setattr(Talk, "close", noted)
    extra: list[int] = []
    waits: dict[str, list[float]] = {"before": [], "after": []}
    for number in range(count + 20):
        async with client(server.ws) as one:
            await one.send("open", conversation=1)
            waits["before" if number < 20 else "after"].append(await first_sound_s(one, 1))
            for _ in range(chance.randrange(8)):
                await one.until("binary")
            if number < 20:
                await one.send("close", conversation=1)
                await one.until("closed")
            else:
                one.socket.transport.abort()
        await asyncio.to_thread(wait_until, lambda: engine.stats().live_rows == 0)
        extra.append(engine.stats().frames_stepped - stepped_at_close[-1])
    assert max(extra) <= 2
    await asyncio.to_thread(wait_until, lambda: engine.stats().conversations == 0)
    usual_ms, after_ms = (np.median(waits[when]) * 1000 for when in ("before", "after"))
    print(
        f"{count} disconnects: at most {max(extra)} steps afterwards; first sound {after_ms:.0f} ms after one, "
        f"{usual_ms:.0f} ms without"
    )


@pytest.mark.parametrize("count", [200, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
async def test_starts_and_cancels_leave_nothing_behind(server: RunningServer, count: int) -> None:
    loop = server.server._loop
    assert loop is not None

    async def golden() -> bytes:
        async with client(server.ws) as one:
            await one.send("open", conversation=1)
            return (await one.say(1, 1, "Golden.", sampling=TWENTY)).pcm

    def held() -> tuple[int, int, int]:
        return len(asyncio.all_tasks(loop)), threading.active_count(), len(os.listdir("/proc/self/fd"))

    expected = await golden()
    wait_until(lambda: not server.service.listeners)
    before = held()
    began = time.monotonic()
    async with client(server.ws) as one:
        await one.send("open", conversation=1)
        done: set[int] = set()
        some = asyncio.Event()

        async def read() -> None:
            while len(done) < count:
                told = await one.receive()
                if told["type"] == "done":
                    done.add(told["number"])
                    some.set()

        reading = asyncio.create_task(read())
        for number in range(0, count, 4):  # four at a time: one is spoken, three are queued
            for each in range(number, number + 4):
                await one.send("speak", conversation=1, number=each, text="Never mind.", sampling=ENDLESS)
            for each in range(number, number + 4):
                for _ in range(1 + each % 2):
                    await one.send("cancel", conversation=1, number=each)
            while len(done) < number - 60:
                await some.wait()
                some.clear()
        await reading
    took_s = time.monotonic() - began
    wait_until(lambda: not server.service.listeners)
    wait_until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))
    wait_until(lambda: not any(counts(server)))
    assert await golden() == expected
    tasks, threads, files = before
    print(f"{count:,} pairs in {took_s:.1f} s; at most {tasks} tasks, {threads} threads and {files} files, as before")
