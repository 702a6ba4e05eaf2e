"""What the agents' command lines have in common."""

from __future__ import annotations

import os
import socket
import sys

from loguru import logger

from csm_plugin.errors import CSMError, SettingsError


def log_to_stderr() -> None:
    """Log from the level on that `LOG_LEVEL` names, without the values of variables."""
    logger.remove()
    logger.add(sys.stderr, level=os.environ.get("LOG_LEVEL", "INFO"), diagnose=False)


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address; port 0 takes a free one.

    Raises:
        SettingsError: it cannot be had.
    """
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({error}): choose another port with --port, 0 for a free one"
        ) from error


def fail(error: CSMError) -> int:
    """Say in a line what is wrong; return the exit status."""
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return 1
