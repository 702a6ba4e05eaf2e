"""docs/architecture.md names what is there, and its picture has no arrow that no import draws."""

from __future__ import annotations

import ast
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


def test_every_test_that_it_names_is_there() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", PAGE)
    assert len(named) > 8
    assert [name for name in named if f"def {name}(" not in sources] == []


def test_every_part_of_a_class_that_it_names_is_there() -> None:
    parts = {part for path in (ROOT / "csm_plugin").rglob("*.py") for part in parts_of(path)}
    named = re.findall(r"`([A-Z]\w+\.\w+)`", PAGE)
    assert len(named) > 12
    assert [name for name in named if name not in parts] == []


def parts_of(path: Path) -> set[str]:
    """Return what the classes of a file have, as `Class.part`: methods, and attributes that they set or declare."""
    classes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)]
    found = set()
    for kind in classes:
        for node in ast.walk(kind):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(f"{kind.name}.{node.name}")
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(f"{kind.name}.{node.attr}")
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(f"{kind.name}.{node.target.id}")
    return found
