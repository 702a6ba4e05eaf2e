"""What the agents' command lines have in common. Importing it loads neither a framework nor torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from csm_plugin.errors import CSMError, SettingsError
from csm_plugin.extras import require
from csm_plugin.interruption import INTERRUPTED, in_thread, run_command, tell_of_interruption, tidying

if TYPE_CHECKING:
    import argparse
    import socket
    from concurrent.futures import Future

    import uvicorn

    from agents.backends import Backend
    from csm_plugin.engine import Engine


def run(name: str, main: Callable[[], int]) -> int:
    """Run an agent's command, with Ctrl-C taken over; return its exit status. What is wrong is said in a line.

    Args:
        name: of the command's module.
        main: reads the command line, checks, loads, serves; returns the exit status.
    """

    def checked() -> int:
        try:
            log_to_stderr()
            require("agents", f"python -m {name}")
            return main()
        except CSMError as error:
            return fail(error)
        except KeyboardInterrupt:
            tell_of_interruption()
            return INTERRUPTED

    return run_command(name, checked)


def log_to_stderr() -> None:
    """Log from the level on that `LOG_LEVEL` names, without the values of variables; of Pipecat what is a warning."""
    from loguru import logger

    level = os.environ.get("LOG_LEVEL", "INFO")
    logger.remove()
    logger.add(sys.stderr, level=level, diagnose=False, filter={"pipecat": "WARNING"} if level == "INFO" else None)


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address; port 0 takes a free one.

    Raises:
        SettingsError: it cannot be had.
    """
    import socket

    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({reason}): choose another port with --port, 0 for a free one"
        ) from error


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a command line choose who speaks."""
    parser.add_argument("--model", help="bundled name, folder, or hub id (default: $CSM_MODEL, else csm-tiny)")
    parser.add_argument("--voice", help="name of a voice of the model (default: the model's own)")


def begin_loading(options: argparse.Namespace) -> Future[Engine | Backend]:
    """Check what the options and the environment say, and begin to load what speaks, in a thread.

    A backend, where `TTS_BACKEND` names one, loads nothing yet.

    Raises:
        CSMError: there is no such model or voice, or what was given makes no sense.
    """
    if os.environ.get("TTS_BACKEND", "").strip():
        from agents.backends import chosen_backend

        if options.voice is not None:
            raise SettingsError("--voice is one of CSM's, and TTS_BACKEND is set: leave out one of them")
        if (backend := chosen_backend(model=options.model)) is not None:
            speech: Engine | Backend = backend
            return in_thread(lambda: speech)
    from agents.engine import chosen_model
    from csm_plugin.cli.options import check_model

    model = chosen_model(options.model)
    check_model(model, [] if options.voice is None else [options.voice])
    print(f"Loading {model} …", flush=True)

    def load() -> Engine:
        from csm_plugin.engine import Engine

        return Engine.load(model)

    return in_thread(load)


def serving(server: uvicorn.Server, listener: socket.socket, end: Callable[[], None]) -> None:
    """Serve until told to end; after a Ctrl-C, in good order, it raises KeyboardInterrupt.

    Args:
        end: frees what was loaded.
    """
    import asyncio

    with tidying():
        try:
            asyncio.run(server.serve([listener]))
        finally:
            end()


def fail(error: CSMError) -> int:
    """Say in a line what is wrong; return the exit status."""
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return 1
