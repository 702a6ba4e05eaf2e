"""docs/install.md says what pyproject.toml and constraints.txt say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOR_DEVELOPERS = {"all", "dev", "docs", "train"}


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def test_every_extra_for_users_is_told() -> None:
    told = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert set(told) == set(EXTRAS) - FOR_DEVELOPERS


def test_the_tested_versions_are_those_of_the_constraints() -> None:
    needs = [Requirement(need) for need in (*PROJECT["dependencies"], *(one for of in EXTRAS.values() for one in of))]
    table = re.findall(r"^\| ([a-z-]+) \| (at least .*) \| (\S+) \|$", PAGE, re.MULTILINE)
    assert len(table) > 5
    for name, allowed, tested in table:
        need = next(need for need in needs if need.name == name)
        words = str(need.specifier)
        assert pinned()[name] == tested and need.specifier.contains(tested)
        assert sorted(re.findall(r"[\d.]+", allowed)) == sorted(re.findall(r"[\d.]+", words)), words


def test_python_is_named_as_the_package_asks_for_it() -> None:
    assert f"Python {PROJECT['requires-python'].removeprefix('>=')} or newer" in PAGE
