"""Runs the tests of the reliability table and writes docs/reliability.md; what a test prints is its figures.

`python -m tests.reliability [pytest options]`
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from tests.reliability.rows import ROWS, Row

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
HEAD = """# What it must survive, and what was measured

Written by `make reliability`, which runs these tests and fills in what they printed; the tests run with all others too,
those of minutes with `SLOW=1`. Where a time is promised, the measured one is told and decides no test. Engine and
server are the real ones, with small random weights; the plugins' tests also have an engine that follows a script. None
has been run on a GPU yet.
"""


@dataclass(eq=False)
class Results:
    """A pytest plugin that keeps how each test ended, and what it printed."""

    outcomes: dict[str, str] = field(default_factory=dict)
    printed: dict[str, list[str]] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a test's outcome; a failure before or after it counts."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome
        if report.when == "call":
            self.printed[report.nodeid] = report.capstdout.strip().splitlines()

    def of(self, row: Row) -> list[str]:
        """Return the tests of a row that were run."""
        starts = tuple(f"{test}{end}" for test in row.tests for end in ("[", "::"))
        return [test for test in self.outcomes if test in row.tests or test.startswith(starts)]

    def table(self) -> str:
        """Return the table, and the figures below it."""
        rows = ["| | what happens | what must hold | tests that held |", "| --- | --- | --- | --- |"]
        figures = []
        for number, row in enumerate(ROWS, 1):
            tests = self.of(row)
            held = sum(self.outcomes[test] == "passed" for test in tests)
            rows.append(f"| [{number}](#{number}) | {row.scenario} | {row.holds} | {held} of {len(tests)} |")
            figures += [f"### {number}", "", *(f"- `{test}`" for test in row.tests), ""]
            lines = [line for test in tests for line in self.printed.get(test, [])]
            figures += ["```", *lines, "```", ""] if lines else []
        return "\n".join([*rows, "", "## Tests and figures", "", *figures]).rstrip() + "\n"


def main(options: list[str]) -> int:
    """Run the tests and write the page; return pytest's exit code."""
    os.chdir(ROOT)
    os.environ.setdefault("LOGURU_LEVEL", "ERROR")
    results = Results()
    tests = list(dict.fromkeys(test for row in ROWS for test in row.tests))
    code = pytest.main(["-q", "--show-capture=no", *options, *tests], plugins=[results])
    machine = f"{os.cpu_count()} cores ({platform.machine()}), torch {torch.__version__.split('+')[0]}, "
    load = f"load {os.getloadavg()[2]:.1f} over the last quarter of an hour."
    PAGE.write_text(f"{HEAD}\nOn {machine}{load}\n\n{results.table()}", encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
