"""How many streams does a server hold in real time, and how long does each wait for its first sound?

`csm serve` with csm-tiny in a process of its own, on this machine's cores, which its clients share. So many sockets ask
for speech at the same moment and read it as fast as it comes. A stream is held in real time while the gap between its
frames of 80 ms is at most 80 ms in 95 of 100 cases.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from websockets.asyncio.client import connect

from benchmarks.report import RESULTS, percentiles, report
from csm_plugin.settings import FRAME_S

MODEL = "csm-tiny"
TEXT = "You should wear a warm coat because it is cold outside, and turn off the lights before you leave."
STREAMS = (1, 2, 4, 8, 16, 32)
ROUNDS = 32
"""First sounds that are measured of each number of streams, at least."""

SAMPLING = {"seed": 1, "max_seconds": 6.0, "trim_silence": False}
SHOWN = ("#34618f", "#2a7f62")
BINARY_SOUND = 1


def main() -> None:
    raw: dict[str, dict[str, list[float]]] = {}
    with serving() as (url, process):
        asyncio.run(together(url, 1))
        idle_mib = resident_mib(process)
        for streams in STREAMS:
            waits, gaps = asyncio.run(measured(url, streams))
            raw[str(streams)] = {"first_ms": waits, "gap_ms": gaps}
        full_mib = resident_mib(process)
    first = {streams: percentiles(of["first_ms"]) for streams, of in raw.items()}
    gap = {streams: percentiles(of["gap_ms"]) for streams, of in raw.items()}
    held = [int(streams) for streams, of in gap.items() if of["p95"] <= FRAME_S * 1000]
    figures = {
        "streams held in real time, of those tried": max(held, default=0),
        "ms to the first sound, by streams": first,
        "ms between frames, by streams": gap,
        f"MiB a stream of {SAMPLING['max_seconds']:.0f} s": round((full_mib - idle_mib) / STREAMS[-1], 1),
        "MiB of the server with one stream behind it": round(idle_mib),
    }
    for of in raw.values():  # thousands of gaps: each hundredth of them
        of["gap_ms"] = np.percentile(of["gap_ms"], range(101)).round(2).tolist()
    report("load", __doc__.splitlines()[0], "one stream", figures, raw)
    draw(first, gap)


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    """Run a server; give its address and its process."""
    command = [sys.executable, "-m", "csm_plugin.cli", "serve", "--model", MODEL, "--port", "0"]
    command += ["--set", f"max_conversations={STREAMS[-1]}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CSM_")}
    with (
        tempfile.NamedTemporaryFile("w", suffix=".log") as told,
        subprocess.Popen(command, stderr=told, env=environment) as process,
    ):
        try:
            while "model loaded" not in (written := Path(told.name).read_text()):
                if process.poll() is not None:
                    raise RuntimeError(written)
                time.sleep(0.05)
            port = written.partition("listening on http://127.0.0.1:")[2].split()[0]
            yield f"ws://127.0.0.1:{port}/v1/stream", process.pid
        finally:
            process.terminate()


async def measured(url: str, streams: int) -> tuple[list[float], list[float]]:
    """Let so many speak at once, several times; return waits for first sounds, and gaps between frames, in ms."""
    waits: list[float] = []
    gaps: list[float] = []
    for _ in range(max(2, ROUNDS // streams)):
        for came_ms in await together(url, streams):
            waits.append(round(came_ms[0], 2))
            gaps += [round(later - earlier, 2) for earlier, later in pairwise(came_ms)]
    return waits, gaps


async def together(url: str, streams: int) -> list[list[float]]:
    """Let so many speak at once; return when each one's frames came, in ms after it asked."""
    gate = asyncio.Barrier(streams)
    return await asyncio.gather(*(stream(url, gate) for _ in range(streams)))


async def stream(url: str, gate: asyncio.Barrier) -> list[float]:
    """Speak once, when all others do."""
    order = {"conversation": 1, "number": 1, "text": TEXT, "sampling": SAMPLING}
    came_ms: list[float] = []
    async with connect(url, compression=None, proxy=None) as socket:
        hello = json.loads(await socket.recv())
        frame_bytes = 2 * hello["frame_samples"]
        await socket.send(json.dumps({"type": "open", "conversation": 1}))
        await gate.wait()
        asked = time.perf_counter()
        await socket.send(json.dumps({"type": "speak"} | order))
        async for message in socket:
            if isinstance(message, bytes):
                if message[0] == BINARY_SOUND:
                    now_ms = (time.perf_counter() - asked) * 1000
                    came_ms += [now_ms] * ((len(message) - 16) // frame_bytes)
            elif (told := json.loads(message))["type"] == "done":
                break
            elif told.get("error"):
                raise RuntimeError(told["error"]["message"])
    return came_ms


def resident_mib(process: int) -> float:
    """Memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def draw(first: dict[str, dict[str, float]], gap: dict[str, dict[str, float]]) -> None:
    """Draw both curves into `results/load.png`."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _curve(left, "wait for the first sound, ms", first)
    _curve(right, "gap between frames, ms", gap)
    right.axhline(FRAME_S * 1000, color="#c0392b", linestyle=":", label="real time")
    for axis in (left, right):
        axis.legend(frameon=False)
    figure.savefig(RESULTS / "load.png", dpi=110)


def _curve(axis: Any, title: str, figures: dict[str, dict[str, float]]) -> None:
    streams: Sequence[int] = [int(name) for name in figures]
    for name, colour in zip(("p50", "p95"), SHOWN, strict=True):
        axis.plot(streams, [of[name] for of in figures.values()], "o-", color=colour, label=name)
    axis.set_title(title, loc="left")
    axis.set_xscale("log", base=2)
    axis.set_xticks(streams, [str(count) for count in streams])
    axis.set_xlabel("streams at once")
    axis.set_ylim(bottom=0)
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
