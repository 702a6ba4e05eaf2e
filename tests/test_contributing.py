"""CONTRIBUTING.md names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
_HOW_TO = TEXT.partition("\n## Where to add …\n")[2].partition("\n## ")[0]
RECIPES = dict(part.split("\n", 1) for part in _HOW_TO.split("\n### ")[1:])


def quoted(text: str) -> list[str]:
    """What stands between backticks, but for blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def paths(text: str) -> set[str]:
    """What of it is a path from the project's root."""
    told = set(quoted(text)) | set(re.findall(r"(?<=TESTS=)\"?([\w./]+)", text))
    return {word for word in told if re.fullmatch(r"[\w.-]+(/[\w.-]+)+|Makefile|\w+\.(md|toml|txt)", word)}


def sources(recipe: str) -> str:
    """The text of the files, and of all files of the folders, that a recipe names."""
    found = [ROOT / path for path in sorted(paths(recipe))]
    files = [file for path in found for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def test_every_path_is_there() -> None:
    named = paths(TEXT)
    assert len(named) > 30
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_it_tells_how_to_add_these() -> None:
    assert list(RECIPES) == [
        "an audio format",
        "a voice source",
        "an HTTP route",
        "a checkpoint layout",
        "an adapter to an agent framework",
    ]


@pytest.mark.parametrize("what", RECIPES)
def test_every_name_of_a_recipe_stands_in_a_file_that_it_names(what: str) -> None:
    names = {name.partition("(")[0] for name in quoted(RECIPES[what])} - paths(RECIPES[what])
    text = sources(RECIPES[what])
    assert sorted(name for name in names if not re.search(rf"\b{re.escape(name)}\b", text)) == []


def test_every_make_target_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    told = set(re.findall(r"^make ([a-z-]+)", TEXT, re.MULTILINE))
    assert told and told <= targets


def test_the_rules_of_the_house_are_ten() -> None:
    rules = TEXT.partition("\n## The rules of the house\n")[2].partition("\n## ")[0]
    assert [int(number) for number in re.findall(r"^(\d+)\. ", rules, re.MULTILINE)] == list(range(1, 11))
