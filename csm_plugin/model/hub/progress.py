"""Shows how far a download is: a bar on a terminal, a line in the log otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from loguru import logger
from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


@contextmanager
def shown(what: str, total_bytes: int, done_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show a download of `total_bytes`, of which `done_bytes` came earlier; yields what to tell of bytes that come."""
    if _has_terminal():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(what, total=total_bytes, completed=done_bytes)
            yield lambda more: progress.advance(task, more)
        return
    began = time.perf_counter()
    logger.info("fetching checkpoint", model=what, bytes=total_bytes, already_here=done_bytes)
    yield lambda more: None
    logger.info("fetched checkpoint", model=what, bytes=total_bytes, seconds=round(time.perf_counter() - began, 1))


def _has_terminal() -> bool:
    """Whether standard error is a terminal that no other live display holds: two of them would tear each other."""
    return sys.stderr is not None and not isinstance(sys.stderr, FileProxy) and Console(stderr=True).is_terminal
