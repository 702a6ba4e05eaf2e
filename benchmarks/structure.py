"""How is the house built: rooms, arrows between them, circles, private reaches, sizes, and the way of one sentence?

Counts, not seconds: the same on every machine. `python -m benchmarks.structure [FOLDER]` measures another checkout's
package with this one's script, so that two commits compare. The way of a sentence is only measured for the package that
is imported; `python -m benchmarks.road` lists its steps.
"""

from __future__ import annotations

import ast
import asyncio
import collections
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.road import DOORS, follow

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 3
BLOCK_LINES = 6


def main() -> None:
    root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    found: dict[str, Any] = measure(root)
    if root == ROOT:
        found |= {f"a sentence through {door}": asyncio.run(follow(door)).counts() for door in DOORS}
    print(json.dumps(found, indent=1))


def measure(root: Path) -> dict[str, Any]:
    """Read the sources of a checkout."""
    paths = sorted((root / "csm_plugin").rglob("*.py"))
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    arrows = {(room(path, root), to) for path, tree in trees.items() for to in imported(path, tree, root)}
    arrows = {(a, b) for a, b in arrows if a != b}
    functions = sorted(
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{path.relative_to(root)}:{node.name}")
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lines = sorted((len(path.read_text(encoding="utf-8").splitlines()), str(path.relative_to(root))) for path in paths)
    return {
        "files": len(paths),
        "lines": sum(count for count, _ in lines),
        "rooms": len({room(path, root) for path in paths}),
        "arrows between rooms": len(arrows),
        "circles": sorted(" ".join(sorted(circle)) for circle in circles(arrows)),
        "private reaches": sum(reaches(tree) for tree in trees.values()),
        "longest files": lines[-LONGEST:],
        "longest functions": functions[-LONGEST:],
        f"blocks of {BLOCK_LINES} lines that stand twice": duplicates(paths),
    }


def room(path: Path, root: Path) -> str:
    """Return the folder of a file, below the package; a file of the package itself is a room of its own."""
    inner = path.relative_to(root).parts[1:]
    return ".".join(inner[:-1]) or path.stem


def imported(path: Path, tree: ast.Module, root: Path) -> set[str]:
    """Return the rooms that a file imports from at run time."""
    rooms = set()
    typing_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only or not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] != "csm_plugin":
                continue
            for end in range(len(parts), 0, -1):
                place = root.joinpath(*parts[:end])
                if place.with_suffix(".py").is_file() or (place / "__init__.py").is_file():
                    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
                    rooms.add(room(file, root))
                    break
    return rooms


def circles(arrows: set[tuple[str, str]]) -> list[set[str]]:
    """Return the sets of rooms in which each can be reached from each other."""
    reach: dict[str, set[str]] = collections.defaultdict(set)
    for a, b in arrows:
        reach[a].add(b)
    for middle, start in itertools.product(list(reach), list(reach)):
        if middle in reach[start]:
            reach[start] |= reach[middle]
    found: list[set[str]] = []
    for start in reach:
        circle = {other for other in reach[start] if start in reach.get(other, set())}
        if circle and circle not in found:
            found.append(circle)
    return found


def reaches(tree: ast.Module) -> int:
    """Count uses of another object's private attributes: `thing._part`, where a class of this file does not set it."""
    own = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
    }
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return sum(
        isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in own
        for node in ast.walk(tree)
    )


def duplicates(paths: list[Path]) -> int:
    """Count blocks of lines, without blank ones, that stand in two places."""
    seen: dict[tuple[str, ...], Path] = {}
    twice = set()
    for path in paths:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        body = [line for line in lines if not line.startswith(("import ", "from ", '"""', "#"))]
        for start in range(len(body) - BLOCK_LINES + 1):
            block = tuple(body[start : start + BLOCK_LINES])
            if sum(map(len, block)) > 120 and block in seen:
                twice.add(block)
            seen.setdefault(block, path)
    return len(twice)


if __name__ == "__main__":
    main()
