"""Ctrl-C at any moment of a command: one line, status 130, and no traceback of what was going on.

A command takes Ctrl-C over before it imports anything else. Until it has something to put in order, Ctrl-C then ends
the process at once: an exception in the middle of an import, or beside a thread inside torch, would do so untidily.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

INTERRUPTED = 130
"""The exit status of what Ctrl-C ended."""

PATIENCE_S = 1.5
"""How long what was begun may take to be put in order."""

LOOK_S = 0.2
"""How often a wait is left, where no signal ends one."""

_SHOW_CURSOR = "\x1b[?25h"
_names: list[str] = []


def run_command(name: str, main: Callable[[], int]) -> int:
    """Run what a process was started for, with Ctrl-C taken over; return its exit status, unless Ctrl-C came.

    For the main thread. Where Ctrl-C is ignored, as under `nohup`, it stays so.

    Args:
        name: of the command, which begins the line.
        main: imports what it needs, and returns the exit status.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        _names[:] = [name]
        signal.signal(signal.SIGINT, _end)
    try:
        status = main()
    except KeyboardInterrupt:
        _end()
    if status == INTERRUPTED:
        _leave()
    return status


@contextmanager
def tidying() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt, so that what was begun can be put in order.

    A second Ctrl-C ends the process at once, and so does the end of `PATIENCE_S`. Where Ctrl-C was not taken over,
    nothing changes.
    """
    if not _names:
        yield
        return
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Begin some work in a thread that the end of the process does not wait for."""
    from concurrent.futures import Future

    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="csm-work", daemon=True).start()
    return future


def result_of(future: Future[T]) -> T:
    """Wait for some work, so that Ctrl-C is heard meanwhile, on Windows too; return its result, or raise its error."""
    while not future.done():
        with suppress(TimeoutError):
            future.exception(LOOK_S)
    return future.result()


def tell_of_interruption() -> None:
    """Say in a line that Ctrl-C ended the command."""
    shown = ("\r", _SHOW_CURSOR) if sys.stderr is not None and sys.stderr.isatty() else ("", "")
    line = f"{shown[0]}{_names[0] if _names else 'csm'}: interrupted{shown[1]}\n"
    with suppress(OSError):
        os.write(2, line.encode())  # a signal may have come in the middle of a write to `sys.stderr`


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _end)
    watch = threading.Timer(PATIENCE_S, _end)
    watch.daemon = True
    watch.start()
    raise KeyboardInterrupt


def _end(_signal: int = signal.SIGINT, _frame: FrameType | None = None) -> None:
    tell_of_interruption()
    os._exit(INTERRUPTED)


def _leave() -> None:
    """End without waiting for threads: one that is inside torch would be waited for, or abort the process."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(INTERRUPTED)
