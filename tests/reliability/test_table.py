"""docs/reliability.md is of these rows, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.reliability.rows import ROWS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("test", sorted({test for row in ROWS for test in row.tests}))
def test_a_test_that_is_named_is_there(test: str) -> None:
    path, _, function = test.partition("::")
    names = {
        node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if hasattr(node, "name") and node.name
    }
    assert function in names or (not function and any(name.startswith("test_") for name in names))


def test_the_page_has_these_rows() -> None:
    told = re.findall(r"^\| \[\d+\]\(#\d+\) \| (.*) \| (.*) \| (\d+ of \d+) \|$", PAGE, re.MULTILINE)
    assert [(what, holds) for what, holds, _ in told] == [(row.scenario, row.holds) for row in ROWS]


def test_the_page_names_the_tests_of_each_row() -> None:
    parts = re.split(r"^### \d+\n", PAGE, flags=re.MULTILINE)[1:]
    assert [tuple(re.findall(r"^- `(tests/.*)`$", part, re.MULTILINE)) for part in parts] == [row.tests for row in ROWS]
