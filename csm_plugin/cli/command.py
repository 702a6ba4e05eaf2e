"""Parsing `csm …`, and what every subcommand shares: errors, logs, exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from loguru import logger
from rich.console import Console
from rich.text import Text

import csm_plugin
from csm_plugin.cli import doctor, evaluate, models, say, serve, voices
from csm_plugin.errors import CSMError
from csm_plugin.interruption import INTERRUPTED, tell_of_interruption

FAILED = 1


def run(arguments: Sequence[str] | None) -> int:
    """Run `csm`; see `csm_plugin.cli.main`."""
    options = command_parser().parse_args(arguments)
    console = Console(stderr=True)
    _send_logs_to_stderr(debug=options.debug)
    try:
        return int(options.run(options, console))
    except CSMError as error:
        if options.debug:
            console.print_exception()
        console.print(Text(f"csm: {' '.join(str(error).split())}", style="red"), soft_wrap=True)
        return FAILED
    except KeyboardInterrupt:
        tell_of_interruption()
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our standard output has gone; Python would complain again when it flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def command_parser() -> argparse.ArgumentParser:
    """Return what parses `csm`'s command line."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show logs, and the traceback of an error")
    parser = argparse.ArgumentParser(prog="csm", description="Conversational speech on Sesame's CSM.")
    parser.add_argument("--version", action="version", version=f"csm-plugin {csm_plugin.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (say, serve, voices, models, evaluate, doctor):
        command.add_parser(commands, shared)
    return parser


def _send_logs_to_stderr(*, debug: bool) -> None:
    logger.remove()
    logger.add(sys.stderr, level="DEBUG" if debug else "WARNING", format="<level>{level}</level> {message} {extra}")
    if not debug:
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
