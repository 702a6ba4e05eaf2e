"""The hosted CI's file is valid, and what it runs is there; it cannot be run from here."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import systems

ROOT = Path(__file__).parents[1]
FILE = ROOT / ".github" / "workflows" / "ci.yml"
WORKFLOW = yaml.safe_load(FILE.read_text(encoding="utf-8"))
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]
COMMANDS = [line for step in STEPS if "run" in step for line in step["run"].splitlines()]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXTRAS = re.search(r"^EXTRAS := (.+)$", MAKEFILE, re.MULTILINE)[1].split(",")  # type: ignore[index]
PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
PINS = {
    canonicalize_name(line.partition("==")[0])
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if "==" in line
}


def test_it_is_what_github_reads() -> None:
    """By the schema that check-jsonschema brings."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(FILE)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stdout + told.stderr


def test_it_may_read_and_nothing_else() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in JOBS.values())
    assert "secrets" not in FILE.read_text(encoding="utf-8")


def test_every_job_ends_in_time() -> None:
    assert all(0 < job["timeout-minutes"] <= 90 for job in JOBS.values())


def test_every_action_is_githubs_own_and_of_a_version() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert [name for name in used if not re.fullmatch(r"actions/[\w-]+@v\d+", name)] == []


def test_the_pythons_are_those_that_the_package_names() -> None:
    tested = [JOBS[name]["strategy"]["matrix"]["python"] for name in ("linux", "elsewhere")]
    assert tested == [PYTHONS, PYTHONS]
    assert f">={PYTHONS[0]}" == PROJECT["requires-python"]


def test_every_make_target_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    asked = {word for line in COMMANDS if line.startswith("make ") for word in shlex.split(line)[1:] if "=" not in word}
    assert {"check", "docs", "release", "test"} == asked
    assert asked <= targets, f"the Makefile has no {', '.join(sorted(asked - targets))}"


def test_every_variable_that_make_is_given_is_one_of_the_makefiles() -> None:
    given = {word.partition("=")[0] for line in COMMANDS for word in shlex.split(line) if re.match(r"[A-Z]+=", word)}
    assert given == {"DEBIAN", "DRY", "PYTHON"}
    assert all(f"$({name})" in MAKEFILE or f"$(if $({name})" in MAKEFILE for name in given)


def test_every_module_that_python_runs_is_there() -> None:
    modules = {name for line in COMMANDS for name in re.findall(r"python -m (\w+)", line)}
    assert modules == {"pip", "pytest"}
    assert all(importlib.util.find_spec(name) for name in modules)


def test_every_csm_command_is_one() -> None:
    asked = [line for line in COMMANDS if line.startswith("csm ")]
    assert asked
    for line in asked:
        command = [sys.executable, "-m", "csm_plugin.cli", shlex.split(line)[1], "--help"]
        assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0, line


def test_what_is_taken_from_the_makefile_is_there() -> None:
    """The extras stand once, in the Makefile; so does torch, in the constraints."""
    assert set(EXTRAS) <= PROJECT["optional-dependencies"].keys()
    assert any("sed -n 's/^EXTRAS := //p' Makefile" in line for line in COMMANDS)
    assert re.search(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)


def test_no_index_is_named() -> None:
    assert "://" not in FILE.read_text(encoding="utf-8")


def test_the_wheel_is_tried_where_nothing_is_checked_out() -> None:
    assert not any("checkout" in step.get("uses", "") for step in JOBS["install"]["steps"])
    assert JOBS["install"]["needs"] == "wheel"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("system", "name"), [("linux", "Linux"), ("darwin", "Darwin"), ("win32", "Windows")])
def test_whatever_is_needed_anywhere_has_its_pin(python: str, system: str, name: str) -> None:
    """As far as the packages tell that are installed here; those of CUDA, which come with torch, are torch's to pin."""
    there = {
        "python_version": python, "python_full_version": f"{python}.0", "implementation_name": "cpython",
        "platform_python_implementation": "CPython", "sys_platform": system, "platform_system": name,
        "os_name": "nt" if system == "win32" else "posix",
        "platform_machine": {"linux": "x86_64", "darwin": "arm64", "win32": "AMD64"}[system],
    }  # fmt: skip
    own, unpinned = {"csm-plugin", "setuptools"}, set()
    asked, known = [("csm-plugin", frozenset(EXTRAS))], set()
    while asked:
        package = asked.pop()
        if package in known or package[0] == "torch":
            continue
        known.add(package)
        for need in needs(*package, there):
            unpinned |= {canonicalize_name(need.name)} - PINS - own
            asked.append((canonicalize_name(need.name), frozenset(need.extras)))
    assert unpinned == set()


def needs(package: str, extras: frozenset[str], there: dict[str, str]) -> Iterator[Requirement]:
    """What an installed package with extras needs on a system; nothing if it is not installed here."""
    try:
        told = importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for need in map(Requirement, told):
        if need.marker is None or any(need.marker.evaluate(there | {"extra": extra}) for extra in extras | {""}):
            yield need


class TestWhatASystemCannotRun:
    @pytest.mark.parametrize("lack", systems.LACKS, ids=lambda lack: lack.reason)
    def test_is_there_by_name(self, lack: systems.Lack) -> None:
        for name in (*lack.tests, *lack.fixtures):
            file, *inner = name.split("::")
            assert (ROOT / file).is_file(), f"{file} is not there"
            text = (ROOT / file).read_text(encoding="utf-8")
            assert all(re.search(rf"(class|def) {re.escape(part)}\b", text) for part in inner), f"{name} is not there"

    def test_is_nothing_on_linux(self) -> None:
        assert not any("linux" in lack.systems for lack in systems.LACKS)

    def test_stands_for_all_parameters_and_for_no_longer_name(self) -> None:
        lack = systems.Lack("a reason", ("win32",), ("tests/a.py::test_b", "tests/c.py"), ("tests/d/conftest.py::e",))
        named = ("tests/a.py::test_b", "tests/a.py::test_b[1]", "tests/c.py", "tests/c.py::test_d")
        assert all(lack.is_named(name) for name in named)
        assert not any(lack.is_named(name) for name in ("tests/a.py", "tests/a.py::test_bc", "tests/c.pyx"))
        assert lack.is_used("tests/d/test_f.py::test_g", ["e"]) and not lack.is_used("tests/h.py::test_g", ["e"])

    def test_is_skipped_with_its_reason_and_not_even_imported(self) -> None:
        """A run of pytest that takes this system for Windows, on files of which nothing is left there."""
        files = ["tests/livekit_plugin/test_sidecar.py", "tests/server/test_draining.py"]
        code = (
            "import sys, pytest; from tests import systems; systems.SYSTEM = 'win32'; "
            f"pytest.main(['-q', '-rs', '-p', 'no:cacheprovider', *{files!r}]); "
            "assert 'csm_plugin.livekit.sidecar' not in sys.modules"
        )
        told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100)
        assert told.returncode == 0, told.stdout + told.stderr
        assert "file locks of Unix" in told.stdout and "others send it a signal" in told.stdout
        assert re.search(r"^2 skipped", told.stdout, re.MULTILINE), told.stdout
