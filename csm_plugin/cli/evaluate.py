"""`csm eval`: how well a checkpoint speaks, as a table, a picture and raw figures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from csm_plugin.cli.options import add_model_options, fetch_first
from csm_plugin.settings import Sampling

PARTS = ("words", "endings", "voices", "pitch", "turns", "parity", "speed")
_ABOUT = f"""Let a checkpoint read commonplace sentences and judge what comes out, offline: words by a recogniser,
voices by their nearest voice prompt, endings, pitch, drift over 20 turns, agreement with transformers, and speed.
Prints a table and writes evaluation.json (every utterance) and evaluation.png. Goals are those of csm-tiny; other
checkpoints get figures only. Parts: {", ".join(PARTS)}."""


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `eval` to `csm`'s subcommands."""
    parser = commands.add_parser("eval", parents=[shared], help="judge how well a model speaks", description=_ABOUT)
    add_model_options(parser)
    parser.add_argument("--sentences", type=int, default=100, metavar="N", help="1 to 100 (default: %(default)s)")
    parser.add_argument(
        "--voices", default="all", metavar="NAMES", help="voice prompts, comma-separated; all, or none (default: all)"
    )
    parser.add_argument("--parts", default="all", metavar="NAMES", help="comma-separated (default: all)")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("evaluation"),
        metavar="FOLDER",
        help="for the files (default: %(default)s)",
    )
    parser.add_argument("--temperature", type=float, metavar="T", help="0 is greedy (default: the checkpoint's)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first utterance (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Evaluate, print and write; return 0.

    Raises:
        CSMError: an option is wrong, the model cannot be loaded or fails, or something to judge with is missing.
    """
    from csm_plugin.evaluation import terminal
    from csm_plugin.evaluation.evaluation import Order

    sampling = Sampling(temperature=options.temperature, seed=options.seed)
    order = Order(
        model=options.model,
        device=options.device,
        parts=None if options.parts == "all" else _names(options.parts),
        sentences=options.sentences,
        voices=None if options.voices == "all" else () if options.voices == "none" else _names(options.voices),
        sampling=sampling,
    )
    fetch_first(options.model)
    terminal.run(order, options.out, console)
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
