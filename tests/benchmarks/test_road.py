"""A sentence comes to few functions on its way: whoever adds some says so here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("door", "files", "functions"), [("run_tts", 50, 210), ("stream", 60, 232)])
def test_a_sentence_comes_to_few_functions_on_its_way(door: str, files: int, functions: int) -> None:
    """Without the text's front end, which has a file for each kind of thing that is read out."""
    order = [sys.executable, "-m", "benchmarks.road", door]
    told = subprocess.run(order, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    counts = json.loads(told[told.index("\n{") :])
    assert files - 8 < counts["files"] - counts["files of the front end"] <= files
    assert functions - 30 < counts["functions"] - counts["functions of the front end"] <= functions, told
    assert 0 < counts["functions before the first frame"] <= counts["functions"]
