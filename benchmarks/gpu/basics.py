"""Is the device what it should be, and does every path speak the same?"""

from __future__ import annotations

import threading
import time
from typing import Any

import torch

from benchmarks.gpu.bench import DRAWN, GREEDY, Bench, NotHere, ranks_of, require, same_frames, speak
from csm_plugin.model.attention import attention_on
from csm_plugin.model.csm import CSM
from csm_plugin.model.devices import auto_dtype, resolve_device
from csm_plugin.model.graphs import FrameGraphs
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.model.rows import Rows

FRAMES = 20


def machine(bench: Bench) -> dict[str, Any]:
    """What is it, what does "auto" choose on it, and how fast does it copy?"""
    found: dict[str, Any] = {
        "auto": str(resolve_device("auto")),
        "auto dtype, small and large": [str(auto_dtype(size, bench.device)) for size in (10**7, 2 * 10**9)],
        "attention": attention_on(bench.device, bench.dtype, 64).__name__,
        "copy_gb_a_second": round(copy_speed(bench) / 1e9, 1),
    }
    if bench.on_gpu:
        about = torch.cuda.get_device_properties(bench.device)
        found |= {
            "gpu": about.name,
            "compute_capability": f"{about.major}.{about.minor}",
            "memory_mib": about.total_memory >> 20,
            "used_mib": bench.used_mib(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found


def device_without_index(bench: Bench) -> dict[str, Any]:
    """Can a thread make "cuda" its device, as the device thread does?"""
    name = bench.device.type
    device = resolve_device(name)
    trouble: list[Exception] = []

    def settle() -> None:
        try:
            if device.type == "cuda":
                torch.cuda.set_device(device)
            torch.ones(1, device=device)
        except Exception as error:
            trouble.append(error)

    thread = threading.Thread(target=settle)
    thread.start()
    thread.join()
    require(not trouble, f"a thread cannot: {trouble}")
    return {name: str(device)}


def parity(bench: Bench) -> dict[str, Any]:
    """In float32, do exact steps, fixed shapes and graphs speak what the CPU speaks, greedy and drawn?"""
    folder = write_random_checkpoint(bench.scratch / "parity", "tiny", alignment_heads=[(0, 1), (1, 3)])
    on_cpu = CSM(folder, device=torch.device("cpu"), dtype=torch.float32, rows=2)
    model = CSM(folder, device=bench.device, dtype=torch.float32, rows=2)
    found = {}
    for name, sampling in (("greedy", GREEDY), ("drawn", DRAWN)):
        top_k = ranks_of(sampling)
        alone, there = Rows([0], on_cpu.device), Rows([0], model.device)
        wanted = speak(on_cpu, lambda held, top_k=top_k, rows=alone: on_cpu.step(rows, top_k, [held]), FRAMES, sampling)
        plain, graphs = FrameGraphs(model, graphs=False), FrameGraphs(model)
        ways = {
            "exact steps": lambda held, top_k=top_k, rows=there: model.step(rows, top_k, [held]),
            "fixed shapes": lambda held, top_k=top_k, plain=plain: plain.step([0], top_k),
            "graphs": lambda held, top_k=top_k, graphs=graphs: graphs.step([0], top_k),
        }
        for way, step in ways.items():
            found[f"{name}, {way}"] = same_frames(wanted, speak(model, step, FRAMES, sampling))
        require(not bench.on_gpu or graphs.graphs == 1, "no graph was captured: see the warning")
    require(set(found.values()) == {FRAMES}, f"of {FRAMES} frames so many are the same from the start: {found}")
    return {"same frames": found}


def load(bench: Bench) -> dict[str, Any]:
    """Does a model of CSM-1B's size load, and what does it take?"""
    began = time.perf_counter()
    folder = bench.large
    written, before = time.perf_counter(), bench.used_mib()
    model = bench.model()
    bench.sync()
    return {
        "checkpoint": folder.name,
        "dtype": str(model.dtype),
        "rows": model.rows,
        "written_s": round(written - began, 1),
        "load_s": round(time.perf_counter() - written, 2),
        "mib": bench.used_mib() - before,
        "mib_a_conversation": round(model.bytes_per_row / 2**20, 1),
    }


def dtypes(bench: Bench) -> dict[str, Any]:
    """Does every dtype speak finite frames?"""
    bench.forget()
    found = {}
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        model = CSM(bench.large, device=bench.device, dtype=dtype, rows=1)
        graphs = FrameGraphs(model)
        speak(model, lambda _, graphs=graphs: graphs.step([0], 50), 5)
        found[str(dtype)] = {"ms a frame": bench.median_ms(lambda graphs=graphs: graphs.step([0], 50), 5)}
        del model, graphs
        bench.forget()
    return found


def second_device(bench: Bench) -> dict[str, Any]:
    """Does another GPU of the machine speak the same?"""
    if not bench.on_gpu or torch.cuda.device_count() < 2:
        raise NotHere("there is one device only")
    other = torch.device("cuda", (bench.device.index + 1) % torch.cuda.device_count())
    folder, spoken = bench.scratch / "parity", []
    for device in (bench.device, other):
        torch.cuda.set_device(device)
        model = CSM(folder, device=device, dtype=torch.float32, rows=1)
        graphs = FrameGraphs(model)
        spoken.append(speak(model, lambda _, graphs=graphs: graphs.step([0], 50), FRAMES))
        require(graphs.graphs == 1, f"no graph was captured on {device}: see the warning")
    torch.cuda.set_device(bench.device)
    require(spoken[0] == spoken[1], f"{same_frames(*spoken)} of {FRAMES} frames are the same from the start")
    return {"devices": [str(bench.device), str(other)]}


def copy_speed(bench: Bench) -> float:
    """Return how many bytes a second the device reads and writes while it copies."""
    source = torch.ones((1 << 24 if bench.dry else 1 << 30) // 4, device=bench.device)
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * source.numel() * 4 / (bench.median_ms(lambda: target.copy_(source), 5) / 1_000)
