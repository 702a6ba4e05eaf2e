"""Many callers at once, more than there is room for, and one who reads slowly."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from csm_plugin.settings import FRAME_SAMPLES
from tests.server.running import Paced, RunningServer, running, wait_until
from tests.server.socket_client import Heard, client

LONG_TEXT = "This is a long text that goes on for as long as the test needs it to, and then some more. " * 4
ENDLESS = {"seed": 5, "max_seconds": 60, "trim_silence": False}


async def said(server: RunningServer, seed: int) -> Heard:
    """Have a second and a half spoken on a socket of its own."""
    sampling = {"seed": seed, "max_seconds": 1.6, "trim_silence": False}
    async with client(server.ws) as one:
        await one.send("open", conversation=1, sampling=sampling, ledger=True)
        return await one.say(1, 1, "All of them at once.")


def alike(one: Heard, other: Heard) -> bool:
    """Whether the codes are the same, and the samples but for their rounding to 16 bits."""
    return one.codes == other.codes and bool(np.abs(one.samples.astype(int) - other.samples).max() <= 1)


async def test_thirty_two_at_once_sound_as_if_alone(server: RunningServer) -> None:
    alone = [await said(server, seed) for seed in range(32)]
    lags: list[float] = []

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - began - 0.005)

    loop = server.server._loop
    assert loop is not None
    watching = asyncio.run_coroutine_threadsafe(watch(), loop)
    together = await asyncio.gather(*(said(server, seed) for seed in range(32)))
    watching.cancel()
    assert all(alike(one, other) for one, other in zip(alone, together, strict=True))
    p99_ms = np.percentile(lags, 99) * 1000
    print(f"32 streams on 8 rows: all as alone; lag of the server's event loop p99 {p99_ms:.1f} ms")


@pytest.fixture
def default_server(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint, max_conversations=8, max_queue=16, hang_s=60, start_s=60) as server:
        yield server


async def test_of_two_hundred_arrivals_twenty_four_are_admitted(default_server: RunningServer) -> None:
    server, go_on = default_server, threading.Event()
    stepper = server.engine._scheduler.speaking.stepper
    launch = stepper.launch

    def held(rows: list[int], lengths: list[int], ranks: int) -> Any:
        go_on.wait(60)
        return launch(rows, lengths, ranks)

    stepper.launch = held  # type: ignore[method-assign]
    order = {"input": "Hello.", "response_format": "pcm", "seed": 1}
    refused: list[tuple[httpx.Response, float]] = []

    async def arrive(session: httpx.AsyncClient) -> httpx.Response:
        began = time.perf_counter()
        answer = await session.post(f"{server.url}/v1/audio/speech", json=order)
        if answer.status_code == 429:
            refused.append((answer, (time.perf_counter() - began) * 1000))
            if len(refused) == 176:  # one more, by itself
                await arrive(session)
                go_on.set()
        return answer

    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=200)) as session:
        answers = await asyncio.gather(*(arrive(session) for _ in range(200)))
    assert sorted(answer.status_code for answer in answers) == [200] * 24 + [429] * 176
    sounds = [np.frombuffer(answer.content, "<i2").astype(int) for answer in answers if answer.status_code == 200]
    assert all(np.abs(sound - sounds[0]).max() <= 1 for sound in sounds)
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer, _ in refused)
    took_ms = [ms for _, ms in refused]
    print(
        f"24 of 200 admitted and finished, 176 refused with a Retry-After: p50 {np.median(took_ms):.0f} ms after 200 "
        f"asked at the same moment, {took_ms[-1]:.0f} ms for one that then asks by itself"
    )


async def test_a_reader_of_one_frame_a_second_holds_up_nobody(server: RunningServer) -> None:
    async def neighbour(frames: int) -> list[float]:
        async with client(server.ws) as one:
            await one.send("open", conversation=1)
            await one.send("speak", conversation=1, number=1, text=LONG_TEXT, sampling=ENDLESS)
            came: list[float] = []
            while len(came) < frames:
                if (await one.receive())["type"] == "binary":
                    came.append(time.perf_counter())
        return [b - a for a, b in itertools.pairwise(came)]

    paced = Paced(server.engine, 0.02)
    try:
        undisturbed = await neighbour(100)
        await asyncio.to_thread(wait_until, lambda: server.engine.stats().live_rows == 0)
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect(("127.0.0.1", server.port))
        before = server.engine.stats().frames_stepped
        async with client(server.ws, sock=slow, max_queue=1) as one:
            await one.send("open", conversation=1)
            await one.send("speak", conversation=1, number=1, text=LONG_TEXT, sampling=ENDLESS)
            read, made = 0, -1
            while made != server.engine.stats().frames_stepped - before:  # until generation pauses
                made = server.engine.stats().frames_stepped - before
                while (await one.receive())["type"] != "binary":
                    pass
                read += 1
                await asyncio.sleep(1)
            beside = await neighbour(100)
            alone_ms, beside_ms = (np.percentile(gaps, 95) * 1000 for gaps in (undisturbed, beside))
            print(
                f"{made} frames were made for who read {read}, then generation paused; "
                f"the neighbour's p95 gap: {alone_ms:.0f} ms alone, {beside_ms:.0f} ms beside"
            )
            on_the_wire = (16_384 + 2 * 32_768 + 2 * 4_096) // (2 * FRAME_SAMPLES) + 2
            assert made - read <= 25 + on_the_wire
    finally:
        paced.stop()
    await asyncio.to_thread(wait_until, lambda: server.engine.stats().live_rows == 0)
