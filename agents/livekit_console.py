"""Ctrl-C in LiveKit's console: its prompt takes it for the end of a line and asks again, and its jobs end slowly."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
from typing import Any

from csm_plugin.interruption import INTERRUPTED, PATIENCE_S, tell_of_interruption


class InterruptKeys(list[str]):
    """The keys that interrupt LiveKit's prompt: what asks for one of them gets the signal that it is elsewhere."""

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        if found:
            signal.raise_signal(signal.SIGINT)
        return found


def console_ends_on_ctrl_c() -> None:
    """Let Ctrl-C end the console, at its prompt too, and at the latest after `PATIENCE_S`. For the main thread."""
    readchar: Any = importlib.import_module("livekit.agents.cli.readchar")
    readchar.INTERRUPT_KEYS = InterruptKeys(readchar.INTERRUPT_KEYS)
    told, teller = socket.socketpair()
    teller.setblocking(False)
    signal.set_wakeup_fd(teller.fileno(), warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(told, teller, _terminal()), name="ctrl-c", daemon=True)
    watch.start()


def _watch(told: socket.socket, _teller: socket.socket, terminal: Any) -> None:
    while signal.SIGINT not in told.recv(64):
        pass
    threading.Event().wait(PATIENCE_S)
    if terminal is not None:
        import termios

        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(sys.__stdin__ or 0, termios.TCSANOW, terminal)
    tell_of_interruption()
    os._exit(INTERRUPTED)


def _terminal() -> Any:
    """Return how the terminal is set, None without one."""
    with contextlib.suppress(ImportError, OSError, ValueError, AttributeError):
        termios: Any = importlib.import_module("termios")
        with contextlib.suppress(termios.error):
            return termios.tcgetattr(sys.stdin.fileno())
    return None
