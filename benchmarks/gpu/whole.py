"""The engine as callers meet it: ready, first sound, streams, memory."""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any

import torch

from benchmarks.gpu.bench import Bench, require
from csm_plugin.engine import Engine
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling

TEXT = "A few words of speech to time."


def first_sound(bench: Bench) -> dict[str, Any]:
    """How long until the engine is ready, and until the first 80 ms of an utterance? How fast is the rest?"""
    bench.forget()
    began = time.perf_counter()
    with Engine.load(bench.large, device=bench.device.type, max_conversations=bench.rows) as engine:
        ready_s = time.perf_counter() - began
        waits = []
        for _ in range(bench.tries):
            with engine.conversation() as talk:
                began = time.perf_counter()
                next(iter(talk.speak(TEXT, _seconds(1))))
                waits.append((time.perf_counter() - began) * 1_000)
        began = time.perf_counter()
        pcm = engine.synthesize(TEXT, sampling=_seconds(1 if bench.dry else 8))
        took_s = time.perf_counter() - began
        graphs = engine._scheduler.live_batch.stepper.graphs
    require(graphs > 0 or not bench.on_gpu, "the engine has no graphs: see the warnings")
    return {
        "ready_s": round(ready_s, 2),
        "graphs": graphs,
        "first_sound_ms": {
            "first": round(waits[0], 1),
            "p50": round(statistics.median(waits), 1),
            "most": round(max(waits), 1),
        },
        "rtf_alone": round(took_s / (len(pcm) / SAMPLE_RATE_HZ), 4),
        "memory": memory(bench),
    }


def streams(bench: Bench) -> dict[str, Any]:
    """How many conversations speak in real time at once, and how long do they wait for their first sound?"""
    bench.forget()
    found: dict[int, dict[str, dict[str, float]]] = {}
    with Engine.load(bench.large, device=str(bench.device), max_conversations=bench.rows) as engine:
        for count in (1, 2, 4) if bench.dry else (1, 4, 8, 16, 32):
            waits, rtfs = _speak_together(engine, count, 1 if bench.dry else 4)
            found[count] = {
                "rtf": {"p50": round(statistics.median(rtfs), 4), "most": round(max(rtfs), 4)},
                "first_sound_ms": {"p50": round(statistics.median(waits), 1), "most": round(max(waits), 1)},
            }
        return {"streams": found, "memory": memory(bench)}


def memory(bench: Bench) -> dict[str, int]:
    """Return what is taken of the device's memory, in MiB."""
    if not bench.on_gpu:
        return {"used_mib": 0}
    return {
        "used_mib": bench.used_mib(),
        "reserved_mib": torch.cuda.memory_reserved(bench.device) >> 20,
        "allocated_mib": torch.cuda.memory_allocated(bench.device) >> 20,
        "most_allocated_mib": torch.cuda.max_memory_allocated(bench.device) >> 20,
    }


def _speak_together(engine: Engine, count: int, seconds: int) -> tuple[list[float], list[float]]:
    """Let so many speak at once; return the waits for the first sound in ms, and the real-time factors."""
    waits, rtfs, trouble = [], [], []
    together = threading.Barrier(count)

    def speak(number: int) -> None:
        try:
            with engine.conversation() as talk:
                together.wait()
                began, samples = time.perf_counter(), 0
                for chunk in talk.speak(TEXT, _seconds(seconds, number)):
                    if not samples:
                        waits.append((time.perf_counter() - began) * 1_000)
                    samples += len(chunk.pcm)
                rtfs.append((time.perf_counter() - began) / (samples / SAMPLE_RATE_HZ))
        except Exception as error:
            trouble.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(not trouble, f"{len(trouble)} of {count} failed: {trouble[:1]}")
    return waits, rtfs


def _seconds(seconds: int, seed: int = 1) -> Sampling:
    """Speak exactly so long: random weights never end by themselves."""
    frames = seconds * SAMPLE_RATE_HZ // FRAME_SAMPLES
    return Sampling(seed=seed, max_seconds=frames * FRAME_SAMPLES / SAMPLE_RATE_HZ, trim_silence=False)
