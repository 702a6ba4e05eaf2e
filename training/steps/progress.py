"""Progress of a stage on a terminal; silent where there is none."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Bar:
    """One line of progress."""

    def __init__(self, display: Progress, task: TaskID) -> None:
        self._display, self._task = display, task

    def advance(self, steps: int = 1) -> None:
        """Go on by some steps."""
        self._display.advance(self._task, steps)

    def show(self, completed: int, note: str = "") -> None:
        """Show how much is done, with a note beside it."""
        self._display.update(self._task, completed=completed, note=note)


@contextmanager
def progress(name: str, total: int) -> Iterator[Bar]:
    """Show progress while the block runs."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as display:
        yield Bar(display, display.add_task(name, total=total, note=""))
