"""`csm eval`: how well a checkpoint speaks, as a table, a picture and raw figures."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from csm_plugin.cli.options import add_model_options, check_model
from csm_plugin.errors import SettingsError
from csm_plugin.extras import require
from csm_plugin.settings import Sampling, check_device_name

MOST_SENTENCES = 100
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
    require("eval", "csm eval")
    sampling = Sampling(temperature=options.temperature, seed=options.seed)
    check_device_name(options.device)
    parts = None if options.parts == "all" else _names(options.parts)
    voices = None if options.voices == "all" else () if options.voices == "none" else _names(options.voices)
    if unknown := sorted(set(parts or ()) - set(PARTS)):
        raise SettingsError(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if not 1 <= options.sentences <= MOST_SENTENCES:
        raise SettingsError(f"sentences is {options.sentences}; it must be a number from 1 to {MOST_SENTENCES}")
    _check_folder(options.out)
    check_model(options.model, voices or ())
    console.print(f"loading {options.model} and what judges it …", highlight=False, markup=False, soft_wrap=True)
    from csm_plugin.evaluation import terminal
    from csm_plugin.evaluation.evaluation import Order

    order = Order(
        model=options.model,
        device=options.device,
        parts=parts,
        sentences=options.sentences,
        voices=voices,
        sampling=sampling,
    )
    terminal.run(order, options.out, console)
    return 0


def _check_folder(folder: Path) -> None:
    """Make the folder for the files.

    Raises:
        SettingsError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SettingsError(
            f"the evaluation cannot be written to {folder} ({error.strerror}); give another folder"
        ) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
