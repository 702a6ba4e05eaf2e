"""What a frame takes: captures, waits, time against the memory's floor, kernels."""

from __future__ import annotations

import threading
import time
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.basics import copy_speed
from benchmarks.gpu.bench import DRAWN, GREEDY, Bench, NotHere, begin, ranks_of, require, same_frames, speak
from benchmarks.gpu.cost import count
from csm_plugin.model.graphs import FrameGraphs
from csm_plugin.settings import FRAME_S

FRAMES = 12
TOP_KS = (1, 50)
DEAREST = 20
"""Kernels that are listed, those that take longest."""


def first_steps(bench: Bench) -> dict[str, Any]:
    """How long do the first steps take without graphs? The very first loads kernels."""
    model = bench.model()
    begin(model, 0)
    plain = FrameGraphs(model, graphs=False)
    return {"ms": [bench.median_ms(lambda: plain.step([0], 50), 1) for _ in range(4)]}


def captures(bench: Bench) -> dict[str, Any]:
    """Is every size captured while another thread uses the device, and do graphs speak what plain steps speak?"""
    model, found = bench.model(), {}
    graphs, busy = FrameGraphs(model), _Busy(bench)
    with busy:
        for size in reversed(graphs.sizes):
            for top_k in reversed(TOP_KS):
                before, began = bench.used_mib(), time.perf_counter()
                graphs.prepare([top_k], [size])
                bench.sync()
                took_ms = (time.perf_counter() - began) * 1_000
                found[f"{size} rows, top-k {top_k}"] = {"ms": round(took_ms), "mib": bench.used_mib() - before}
    require(not busy.trouble, f"the other thread failed: {busy.trouble}")
    wanted = len(graphs.sizes) * len(TOP_KS) if bench.on_gpu else 0
    require(graphs.graphs == wanted, f"{graphs.graphs} of {wanted} graphs were captured: see the warnings")
    plain = FrameGraphs(model, graphs=False)
    for sampling in (GREEDY, DRAWN):
        top_k = ranks_of(sampling)
        told = [
            speak(model, lambda _, way=way, top_k=top_k: way.step([0], top_k), FRAMES, sampling)
            for way in (plain, graphs)
        ]
        require(told[0] == told[1], f"{same_frames(*told)} of {FRAMES} frames are the same from the start")
    return {"captures": found, "rounds_of_the_other_thread": busy.rounds}


def no_waiting(bench: Bench) -> dict[str, Any]:
    """Does a step wait for the device anywhere?"""
    if not bench.on_gpu:
        raise NotHere("a CPU has nothing to wait for")
    model = bench.model()
    plain = FrameGraphs(model, graphs=False)
    for row in range(2):
        begin(model, row)
    plain.step([0, 1], 50)
    bench.sync()
    torch.cuda.set_sync_debug_mode("error")
    try:
        plain.step([0, 1], 50)
        plain.step([1], 50)
        begin(model, 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"waits": 0}


def frame_time(bench: Bench) -> dict[str, Any]:
    """How long does a frame take, and how long would its bytes alone?"""
    model, speed, found = bench.model(), copy_speed(bench), {}
    graphs = FrameGraphs(model)
    for rows in (1, 2) if bench.dry else (1, 8, 32):
        for top_k in TOP_KS:
            for row in range(rows):
                begin(model, row, DRAWN if top_k > 1 else GREEDY, row)
            numbers = list(range(rows))
            graphs.step(numbers, top_k)
            ms = bench.median_ms(lambda numbers=numbers, top_k=top_k: graphs.step(numbers, top_k))
            cost = count(lambda numbers=numbers, top_k=top_k: graphs._plain(len(numbers), 64 if top_k > 1 else 1))
            floor_ms = cost.bytes / speed * 1_000
            found[f"{rows} rows, top-k {top_k}"] = {
                "ms": ms,
                "rtf": round(ms / 1_000 / FRAME_S, 4),
                "mb": round(cost.bytes / 1e6, 1),
                "floor_ms": round(floor_ms, 3),
                "times_the_floor": round(ms / floor_ms, 2),
                "kernels_counted": cost.kernels,
            }
    return found


def kernels(bench: Bench) -> dict[str, Any]:
    """Which kernels run in a frame, and how long is the device busy?"""
    model, found = bench.model(), {}
    graphs = FrameGraphs(model)
    activity = ProfilerActivity.CUDA if bench.on_gpu else ProfilerActivity.CPU
    for rows in (1, bench.rows):
        for row in range(rows):
            begin(model, row, seed=row)
        numbers = list(range(rows))
        graphs.step(numbers, 50)
        bench.sync()
        with profile(activities=[activity]) as watched:
            graphs.step(numbers, 50)
            bench.sync()
        events = [(e.key, e.count, _own_us(e, bench.on_gpu)) for e in watched.key_averages()]
        events = sorted((event for event in events if event[2] > 0), key=lambda event: -event[2])
        found[f"{rows} rows"] = {
            "kernels": sum(number for _, number, _ in events),
            "busy_ms": round(sum(us for _, _, us in events) / 1_000, 3),
            "dearest": [[name[:80], number, round(us / 1_000, 4)] for name, number, us in events[:DEAREST]],
        }
        require(bool(events), "the profiler saw nothing")
    return found


def _own_us(event: Any, on_gpu: bool) -> float:
    return float(event.self_device_time_total if on_gpu else event.self_cpu_time_total)


class _Busy:
    """Another thread that uses the device without pause, as a recogniser in the same process would."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._stop = threading.Event()
        self._going = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.trouble: list[str] = []
        self.rounds = 0

    def __enter__(self) -> None:
        self._thread.start()
        self._going.wait(10)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        device = self._bench.device
        try:
            while not self._stop.is_set():
                numbers = torch.ones(1 << 20, device=device)
                if self._bench.on_gpu:
                    torch.empty(1 << 20, pin_memory=True)
                float(numbers.sum())
                del numbers
                if self._bench.on_gpu:
                    torch.cuda.empty_cache()
                self.rounds += 1
                self._going.set()
        except Exception as error:
            self.trouble.append(f"{type(error).__name__}: {error}".splitlines()[0])
            self._going.set()
