"""What the rules of the house are asked of: the files of a package, what they import, and what they reach into."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path

PUBLIC_BY_CUSTOM = frozenset({"_asdict", "_fields", "_make", "_replace"})
"""Of named tuples: the underscore keeps them apart from the fields."""


class Source:
    """A file of a package.

    Args:
        root: the package's folder.
        path: the file's.
    """

    def __init__(self, root: Path, path: Path) -> None:
        self.root, self.path = root, path
        self.parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        self.tree = ast.parse(path.read_text())

    def at(self, line: int) -> str:
        """A place in it, as an editor opens it: `csm_plugin/engine/engine.py:12`."""
        return f"{self.path.relative_to(self.root.parent)}:{line}"

    @cached_property
    def imports(self) -> list[tuple[str, int]]:
        """Full dotted names of what it imports, inside functions and for types too, and in which lines."""
        found: list[tuple[str, int]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(alias.name, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self.parts[: -node.level] if node.level else ()
                module = ".".join([*base, *([node.module] if node.module else [])])
                found += [(f"{module}.{alias.name}", node.lineno) for alias in node.names]
        return found

    def private_reaches(self) -> Iterator[tuple[str, int]]:
        """Private names of other files that it takes, and in which lines."""
        own = self._private_names()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                yield from ((alias.name, node.lineno) for alias in node.names if _private(alias.name))
            elif isinstance(node, ast.Attribute) and _private(node.attr) and not _oneself(node.value):
                if node.attr not in own:
                    yield node.attr, node.lineno
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "delattr"):
                name = str(node.args[1].value) if isinstance(node.args[1], ast.Constant) else ""
                if _private(name) and name not in own and not _oneself(node.args[0]):
                    yield name, node.lineno

    def _private_names(self) -> set[str]:
        """What it defines itself: functions, classes, variables, fields, and what an object sets on itself."""
        names: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _oneself(node.value):
                names.add(node.attr)
        return {name for name in names if _private(name)}


def _private(name: str) -> bool:
    dunder = name.startswith("__") and name.endswith("__")
    return name.startswith("_") and name != "_" and not dunder and name not in PUBLIC_BY_CUSTOM


def _oneself(value: ast.expr) -> bool:
    return ast.unparse(value) in ("self", "cls", "super()", "type(self)")


@cache
def sources(root: Path) -> tuple[Source, ...]:
    """All files of a package."""
    return tuple(Source(root, path) for path in sorted(root.rglob("*.py")))


def arrows(root: Path, room: tuple[str, ...]) -> dict[tuple[str, str], list[str]]:
    """Which children of a package import which others of it, and where.

    Args:
        room: the package's dotted name in parts; a child is a file or a folder in it.
    """
    inside = [source for source in sources(root) if source.parts[: len(room)] == room]
    children = {source.parts[len(room)] for source in inside}
    found: dict[tuple[str, str], list[str]] = {}
    for source in inside:
        child = source.parts[len(room)]
        for name, line in source.imports:
            parts = tuple(name.split("."))
            if child == "__init__" or parts[: len(room)] != room or len(parts) == len(room):
                continue
            other = parts[len(room)] if parts[len(room)] in children else "__init__"
            if other != child:
                found.setdefault((child, other), []).append(source.at(line))
    return found


def circles(arrows: Mapping[tuple[str, str], object]) -> list[frozenset[str]]:
    """The largest groups in which each is reached from each."""
    ahead: dict[str, set[str]] = {}
    for start, end in arrows:
        ahead.setdefault(start, set()).add(end)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = ahead.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    after = {child: reached(child) for child in ahead}
    groups = {frozenset(other for other in after[child] if child in after.get(other, ())) for child in after}
    return sorted((group for group in groups if group), key=sorted)
