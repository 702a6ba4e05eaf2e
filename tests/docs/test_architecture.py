"""docs/architecture.md names what is there, and its picture has no arrow that no import draws."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_layers import MAY_IMPORT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_path_that_it_names_is_there() -> None:
    named = re.findall(r"`((?:[\w.]+/)*[\w.]+(?:\.py|/))`", PAGE)
    rooms = ("model", "engine", "server")
    places = [ROOT, ROOT / "csm_plugin", *(ROOT / "csm_plugin" / room for room in rooms)]
    assert len(named) > 40
    assert [path for path in named if not any((place / path).exists() for place in places)] == []


def test_its_arrows_are_imports_that_may_be() -> None:
    picture = PAGE.split("```mermaid")[1].split("```")[0]
    arrows = re.findall(r"^    (\w+)(?:\[.*?\])? --> (.+)$", picture, re.MULTILINE)
    assert len(arrows) > 8
    for start, ends in arrows:
        for end in re.findall(r"\b[a-z]+\b(?=\s*&|\s*$|\[)", ends):
            if start in MAY_IMPORT and end in MAY_IMPORT:
                assert end in MAY_IMPORT[start], f"{start} may not import {end}"
