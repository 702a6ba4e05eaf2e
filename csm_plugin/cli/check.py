"""`csm models check`: what a checkpoint is, what it lacks, and how it would run here."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from csm_plugin.cli import machine
from csm_plugin.cli.options import add_part_options, parts_of
from csm_plugin.settings import FRAME_S

if TYPE_CHECKING:
    from csm_plugin.model.inspection import Inspection

_LOADS, _DOES_NOT = 0, 1


def add_parser(actions: Any, shared: argparse.ArgumentParser) -> None:
    """Add `check` to `csm models`."""
    parser = actions.add_parser(
        "check",
        parents=[shared],
        help="tell what a model is, what it lacks, and how it would run here",
        description="Tell the layout, size and needs of MODEL, what it lacks, and the speed to expect here. Only its "
        "configuration and the headers of its files are read, of a model on the hub too. Exits with 1 if it cannot be "
        "loaded as it is.",
    )
    parser.add_argument("model", metavar="MODEL", help="bundled name, folder, or hub id")
    parser.add_argument("--json", action="store_true", help="as JSON on standard output")
    add_part_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the report; return 0, or 1 if the model cannot be loaded as it is.

    Raises:
        CheckpointError: it cannot be found, or is no CSM at all.
    """
    from csm_plugin.model.checkpoint import find_checkpoint, is_on_hub

    if not is_on_hub(options.model):
        find_checkpoint(options.model)
    with console.status(f"looking at {options.model}"):
        from csm_plugin.model.inspection import inspect_checkpoint

        seen = inspect_checkpoint(options.model, parts_of(options))
        here = [_here(seen, device) for device in machine.devices()] if seen.needs else []
    if options.json:
        report = dataclasses.asdict(seen) | {"folder": str(seen.folder), "name": options.model, "here": here}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _print(options.model, seen, here, Console())
    return _LOADS if seen.problem is None and not seen.missing else _DOES_NOT


def _here(seen: Inspection, device: machine.Device) -> dict[str, Any]:
    """Tell how a model would run on a device: in which dtype, whether it fits, at what speed at best.

    The speed is measured with a product in that dtype, so a dtype that the processor only emulates shows.
    """
    import torch

    from csm_plugin.model.devices import auto_dtype

    dtype = auto_dtype(sum(seen.parameters.values()), torch.device(device.name))
    needs = seen.needs[str(dtype).removeprefix("torch.")]
    told = {"device": device.name, "hardware": device.hardware, "dtype": str(dtype).removeprefix("torch.")}
    try:
        speed = machine.bytes_per_second(device.name, dtype)
    except RuntimeError as error:
        return told | {"problem": str(error).splitlines()[0]}
    return told | {
        "fits": not device.free or device.free > needs.weights + needs.conversation,
        "free": device.free,
        "rtf_at_best": round(needs.frame / speed / FRAME_S, 3),
    }


def _print(name: str, seen: Inspection, here: list[dict[str, Any]], console: Console) -> None:
    from csm_plugin.model.hub.sizes import readable

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def row(label: str, text: str) -> None:
        table.add_row(label, Text(text))

    row(name, f"{seen.layout} layout, {seen.codebooks} codebooks, voice prompts by {seen.voice_style}")
    total = sum(seen.parameters.values())
    parts = (f"{count / 1e6:,.1f} {part}" for part, count in seen.parameters.items())
    row("parameters", f"{total / 1e6:,.1f} M: {', '.join(parts)}")
    row("stored", ", ".join(f"{count / 1e6:,.1f} M as {kind}" for kind, count in seen.kinds.items()))
    row("files", ", ".join(f"{file} {readable(size)}" for file, size in seen.files.items()))
    if not seen.fetched:
        row("", f"not here yet: csm models fetch {name}")
    for dtype, needs in seen.needs.items():
        row(f"in {dtype}", f"{readable(needs.weights)}, and {readable(needs.conversation)} a conversation")
    for one in here:
        row(one["device"], _sentence(one))
    console.print(table)
    for lack in seen.missing:
        console.print(Text.assemble(("missing ", "yellow"), lack), soft_wrap=True)
    if seen.problem is not None:
        console.print(Text.assemble(("cannot be loaded ", "red"), seen.problem), soft_wrap=True)


def _sentence(one: dict[str, Any]) -> str:
    if "problem" in one:
        return f"{one['hardware']}: {one['problem']}"
    if not one["fits"]:
        return f"{one['hardware']}: does not fit in {one['dtype']}"
    rtf = one["rtf_at_best"]
    slow = ", slower than real time" if rtf > 1 else ""
    return f"{one['hardware']}: RTF {rtf:.2f} at best in {one['dtype']}{slow}"
