"""An evaluation on a terminal: its progress, its table, and where its files are."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from csm_plugin.evaluation.evaluation import Evaluation, Order, evaluate
from csm_plugin.evaluation.table import Row

_VERDICTS = {True: ("passed", "green"), False: ("not yet", "red"), None: ("", "")}


def run(order: Order, folder: Path, console: Console) -> Evaluation:
    """Evaluate, write the files into a folder, and print the table to standard output.

    Args:
        order: what to evaluate.
        folder: for the files; made if it is not there.
        console: for the progress.

    Raises:
        CSMError: as `evaluate` and `Evaluation.write` do.
    """
    with _Bar(console) as bar:
        evaluation = evaluate(order, bar)
    evaluation.write(folder)
    Console().print(_table(order.model, evaluation.rows))
    written = f"written: {folder}/evaluation.json, {folder}/evaluation.png"
    console.print(written, highlight=False, markup=False, soft_wrap=True)
    return evaluation


class _Bar(Progress):
    """A line of progress, none where there is no terminal."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        super().__init__(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self.add_task("loading", total=None)

    def start_on(self, utterances: int) -> None:
        """Show how many utterances there will be."""
        self.update(self._task, total=utterances)

    def made(self, utterances: int, what: str) -> None:
        """Show that some more were made."""
        self.update(self._task, advance=utterances, description=what)


def _table(model: str, rows: list[Row]) -> Table:
    goals = any(row.goal for row in rows)
    table = Table(title=model, expand=True)
    table.add_column(ratio=6)
    table.add_column("measured", ratio=4)
    if goals:
        table.add_column("goal", ratio=3)
        table.add_column(no_wrap=True, width=7)
    for row in rows:
        name = Text(row.name).append(f"\n{row.more}" if row.more else "", "dim")
        table.add_row(name, row.figure, *((row.goal, Text(*_VERDICTS[row.passed])) if goals else ()))
    return table
