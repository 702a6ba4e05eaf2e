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
    stepper = server.engine._scheduler.live_batch.stepper
    launch = stepper.launch

    def held(rows: list[int], lengths: list[int], ranks: int) -> Any:
        go_on.wait(60)
        return launch(rows, lengths, ranks)

    stepper.launch = held  # type: ignore[method-assign]
    took_ms: list[float] = []

    async def arrive() -> tuple[int, bytes, bytes]:
        began = time.perf_counter()
        status, head, body = await order(server.port)
        if status == 429:
            took_ms.append((time.perf_counter() - began) * 1000)
            if len(took_ms) == 176:  # one more, by itself
                await arrive()
                go_on.set()
        return status, head, body

    answers = await asyncio.gather(*(arrive() for _ in range(200)))
    assert sorted(status for status, _, _ in answers) == [200] * 24 + [429] * 176
    sounds = [np.frombuffer(body, "<i2").astype(int) for status, _, body in answers if status == 200]
    assert all(len(sound) == len(sounds[0]) and np.abs(sound - sounds[0]).max() <= 1 for sound in sounds)
    assert all(int(head.split(b"retry-after: ")[1].split()[0]) >= 1 for status, head, _ in answers if status == 429)
    print(
        f"24 of 200 admitted and finished, 176 refused with a Retry-After: p50 {np.median(took_ms):.0f} ms after 200 "
        f"asked at the same moment, {took_ms[-1]:.0f} ms for one that then asks by itself"
    )


async def order(port: int) -> tuple[int, bytes, bytes]:
    """Ask for speech, with no more of a client than it takes; return the answer's status, head and body."""
    asked = b'{"input": "Hello.", "response_format": "pcm", "seed": 1}'
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /v1/audio/speech HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(asked), asked)
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), head, body


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
