"""`csm doctor`: what this machine has, what speed to expect, and what is missing."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.table import Table

import csm_plugin
from csm_plugin.cli import machine, outputs
from csm_plugin.cli.options import add_model_options, check_model, load_engine
from csm_plugin.errors import CSMError
from csm_plugin.extras import install_command
from csm_plugin.settings import FRAME_S, SAMPLE_RATE_HZ, Sampling

CSM_1B_BYTES_PER_FRAME = 9.1e9
"""What CSM-1B reads for one frame in bfloat16: the backbone once, the depth decoder 31 times."""
CSM_1B_BYTES = 3.5e9
_OK, _MODEL_MISSING = 0, 1
_SENTENCE = "The quick brown fox jumps over the lazy dog."
_WARM_UP_S, _MEASURED_S = 0.4, 3.0
_GIB = 2**30


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `doctor` to `csm`'s subcommands."""
    parser = commands.add_parser(
        "doctor",
        parents=[shared],
        help="what this machine has, what speed to expect, what is missing",
        description="Say which devices and extras are here, whether the model loads, how fast it speaks, and what is "
        "missing. Exits with 1 if the model cannot be loaded.",
    )
    add_model_options(parser)
    parser.add_argument("--json", action="store_true", help="the report as JSON on standard output")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the report; return 0, or 1 if the model cannot be loaded."""
    with suppress(CSMError):  # the report tells it
        check_model(options.model)
    with console.status("examining this machine"):
        report = examine(options.model, options.device)
    if options.json:
        json.dump(report, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print(report, Console())
    return _OK if report["model"]["loads"] else _MODEL_MISSING


def examine(model: str, device: str) -> dict[str, Any]:
    """Make the report, as JSON can hold it. Sizes are in bytes, times in seconds."""
    versions = machine.package_versions()
    missing = [{"what": f"the package {name}", "how": f"pip install {name}"} for name in versions if not versions[name]]
    lacking = machine.extras()
    for extra, modules in lacking.items():
        if modules:
            missing.append({"what": f"the extra {extra}", "how": install_command(extra)})
    plays = outputs.can_play(SAMPLE_RATE_HZ)
    if not plays:
        missing.append({"what": "a player for csm say --play", "how": f"install one of {', '.join(outputs.PLAYERS)}"})
    devices = machine.devices() if versions["torch"] else []
    spoken = _measure_model(model, device)
    if not spoken["loads"]:
        missing.append({"what": f"the model {model}", "how": spoken["error"]})
    if spoken.get("rtf", 0) > 1:
        missing.append({"what": f"speed: {model} is slower than real time here", "how": "use a GPU or a smaller model"})
    return {
        "csm_plugin": csm_plugin.__version__,
        **machine.system(),
        "packages": versions,
        "devices": [dataclasses.asdict(one) | examine_device(one) for one in devices],
        "extras": {extra: not modules for extra, modules in lacking.items()},
        "plays": plays,
        "model": spoken,
        "missing": missing,
    }


def examine_device(device: machine.Device) -> dict[str, Any]:
    """What CSM-1B can reach at best: its weights' traffic by the measured speed of memory."""
    try:
        speed = machine.bytes_per_second(device.name)
    except RuntimeError as error:
        return {"bytes_per_second": None, "problem": str(error).splitlines()[0]}
    fits = not device.free or device.free > CSM_1B_BYTES
    return {
        "bytes_per_second": round(speed),
        "csm_1b_rtf_at_best": round(CSM_1B_BYTES_PER_FRAME / speed / FRAME_S, 3),
        "csm_1b_fits": fits,
    }


def _measure_model(model: str, device: str) -> dict[str, Any]:
    """Load the model and let it speak twice; the second time is measured."""
    report: dict[str, Any] = {"name": model, "loads": False}
    began = time.perf_counter()
    try:
        with load_engine(model, device) as engine:
            report |= {"loads": True, "load_s": round(time.perf_counter() - began, 2), "device": str(engine.device)}
            report["voices"] = list(engine.voices)
            engine.synthesize(_SENTENCE, sampling=Sampling(max_seconds=_WARM_UP_S, trim_silence=False))
            sampling = Sampling(seed=1, max_seconds=_MEASURED_S, trim_silence=False)
            with engine.conversation(sampling=sampling) as talk:
                began, first_s, samples = time.perf_counter(), None, 0
                for chunk in talk.speak(_SENTENCE):
                    first_s = time.perf_counter() - began if first_s is None else first_s
                    samples += len(chunk.pcm)
                took_s = time.perf_counter() - began
    except CSMError as error:
        return report | {"loads": False, "error": str(error)}
    if first_s is not None:
        report["first_sound_s"] = round(first_s, 3)
        report["rtf"] = round(took_s / (samples / SAMPLE_RATE_HZ), 3)
    return report


def _print(report: dict[str, Any], console: Console) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_row("csm-plugin", f"{report['csm_plugin']}, Python {report['python']}, {report['system']}")
    table.add_row("packages", ", ".join(f"{name} {version or '—'}" for name, version in report["packages"].items()))
    for device in report["devices"]:
        table.add_row(device["name"], _describe(device))
    there = [extra for extra, installed in report["extras"].items() if installed]
    table.add_row("extras", ", ".join(there) or "none")
    table.add_row("model", _describe_model(report["model"]))
    console.print(table)
    for lack in report["missing"]:
        console.print(f"[yellow]missing[/] {lack['what']}: ", end="")
        console.print(lack["how"], markup=False, highlight=False)


def _describe(device: dict[str, Any]) -> str:
    told = f"{device['hardware']}, {device['memory'] / _GIB:.0f} GiB ({device['free'] / _GIB:.0f} free)"
    if device["bytes_per_second"] is None:
        return f"{told}; {device['problem']}"
    told += f", reads {device['bytes_per_second'] / 1e9:,.0f} GB/s"
    if not device["csm_1b_fits"]:
        return f"{told}; CSM-1B does not fit"
    rtf = device["csm_1b_rtf_at_best"]
    return f"{told}; CSM-1B at best RTF {rtf:.2f}" + (", slower than real time" if rtf > 1 else "")


def _describe_model(model: dict[str, Any]) -> str:
    if not model["loads"]:
        return f"{model['name']} cannot be loaded"
    told = f"{model['name']} on {model['device']}, loaded in {model['load_s']} s"
    if "rtf" in model:
        told += f", RTF {model['rtf']}, first sound after {model['first_sound_s'] * 1000:.0f} ms"
    return told + (f", voices {', '.join(model['voices'])}" if model["voices"] else "")
