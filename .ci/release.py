"""Make a release: `make release`, or `make release DRY=1`, which changes nothing but `dist/`.

The changelog decides the version. What is built is a copy of the files that git knows, with the next version written
into it, and the README's links led: a source archive, and from it the wheel. The wheel is installed in an empty
environment and has to speak there. A real release then asks, commits the version and tags it. Nothing is pushed or
uploaded.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION_FILE, CHANGELOG = "csm_plugin/__init__.py", "CHANGELOG.md"
UNRELEASED = "Unreleased"

_VERSION = re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE)
_HEADING = re.compile(r"^## \[(Unreleased|\d+\.\d+\.\d+)\](?: - \d{4}-\d\d-\d\d)?$", re.MULTILINE)
_PICTURE_INSIDE = re.compile(r"!\[([^\]]*)\]\((?![a-z][a-z+.-]*:)([^)\s]+)\)")
_LINK_INSIDE = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z][a-z+.-]*:|#)([^)\s]+)\)")
_REPAIRS = frozenset({"Fixed", "Security"})

SPOKEN = """
import importlib.metadata, sys
import numpy, soundfile
import csm_plugin
sound, rate = soundfile.read("hello.wav")
print(importlib.metadata.version("csm-plugin"), csm_plugin.__version__, csm_plugin.__file__, rate, len(sound) / rate,
      float(numpy.abs(sound).max()), sep="\\n")
"""
"""Run beside `hello.wav` by the empty environment's Python."""


class ReleaseError(Exception):
    """It cannot be released as it is; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Section:
    """What the changelog says of one version, or of what has none yet."""

    name: str
    body: str

    @property
    def kinds(self) -> frozenset[str]:
        """Its headings: Added, Changed, Fixed, …"""
        return frozenset(re.findall(r"^### (\w+)$", self.body, re.MULTILINE))


def sections(changelog: str) -> list[Section]:
    """Return the changelog's sections, the newest first."""
    parts = _HEADING.split(changelog)[1:]
    return [Section(name, body.strip()) for name, body in zip(parts[::2], parts[1::2], strict=True)]


def version_of(source: str) -> str:
    """Return the version that the package's first file names.

    Raises:
        ReleaseError: it names none.
    """
    found = _VERSION.search(source)
    if found is None:
        raise ReleaseError(f'{VERSION_FILE} has no line __version__ = "X.Y.Z"; write one')
    return found[1]


def next_version(version: str, changelog: str) -> str:
    """Return the version that a release would have now.

    Before the first release it is the package's own. Later, repairs alone raise the last number, all else the one
    before it; from 1.0.0 on, what is removed raises the first.

    Args:
        version: the package's.
        changelog: its text.

    Returns:
        `version` itself if nothing was written down since it was released.

    Raises:
        ReleaseError: package and changelog do not agree, or there is nothing to release.
    """
    found = sections(changelog)
    if not found or found[0].name != UNRELEASED:
        raise ReleaseError(f"the first section of {CHANGELOG} is not ## [{UNRELEASED}]; put one there")
    news, released = found[0], found[1:]
    if released and released[0].name != version:
        raise ReleaseError(
            f"{VERSION_FILE} says {version}, the newest release in {CHANGELOG} is {released[0].name}; they must agree "
            "between releases: `make release` raises both"
        )
    if not released and not news.body:
        raise ReleaseError(f"{CHANGELOG} names no change; write down what this release brings")
    if not released or not news.body:
        return version
    major, minor, patch = map(int, version.split("."))
    if not news.kinds:
        raise ReleaseError(f"[{UNRELEASED}] in {CHANGELOG} has no heading; put its lines under ### Added, ### Fixed, …")
    if news.kinds <= _REPAIRS:
        return f"{major}.{minor}.{patch + 1}"
    return f"{major + 1}.0.0" if major and "Removed" in news.kinds else f"{major}.{minor + 1}.0"


def write_version(tree: Path, version: str, day: date) -> None:
    """Write a version into a tree: the package's first file, and the changelog's heading."""
    file, log = tree / VERSION_FILE, tree / CHANGELOG
    file.write_text(_VERSION.sub(f'__version__ = "{version}"', file.read_text(encoding="utf-8")), encoding="utf-8")
    told = log.read_text(encoding="utf-8")
    if version not in (section.name for section in sections(told)):
        heading = f"## [{UNRELEASED}]"
        told = told.replace(f"{heading}\n", f"{heading}\n\n## [{version}] - {day:%Y-%m-%d}\n", 1)
        log.write_text(told, encoding="utf-8")


def write_readme(tree: Path, version: str) -> None:
    """Lead the README's links into the tree to where its sources are public; without such a place, to nowhere.

    A picture is then told in the words that stand for it.

    An index shows the README alone, so that a link to a file beside it would be dead there.
    """
    readme, project = tree / "README.md", tree / "pyproject.toml"
    told = tomllib.loads(project.read_text(encoding="utf-8")) if project.is_file() else {}
    home = told.get("project", {}).get("urls", {}).get("Repository")
    led = r"\1" if home is None else rf"[\1]({home}/blob/v{version}/\2)"
    shown = r"*\1*" if home is None else rf"![\1]({home}/raw/v{version}/\2)"
    text = _LINK_INSIDE.sub(led, readme.read_text(encoding="utf-8"))
    readme.write_text(_PICTURE_INSIDE.sub(shown, text), encoding="utf-8")


def copy_tree(root: Path, target: Path) -> None:
    """Copy what git knows, or would take, of a tree; so that nothing else gets into a build."""
    listed = _told(root, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)


def build(tree: Path, dist: Path) -> Path:
    """Build the source archive, and from it the wheel; return the wheel. What was in `dist` goes."""
    shutil.rmtree(dist, ignore_errors=True)
    _run(tree, sys.executable, "-m", "build", "--outdir", str(dist), str(tree))
    (wheel,) = dist.glob("*.whl")
    return wheel


def check_metadata(wheel: Path, version: str, readme: str) -> None:
    """Check what an index would read.

    Raises:
        ReleaseError: it is not valid, not of this version, or its description is not the README.
    """
    from packaging.metadata import Metadata

    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Metadata.from_email(files.read(name), validate=True)
    if str(metadata.version) != version:
        raise ReleaseError(f"{wheel.name} is of version {metadata.version}, not {version}; build it again")
    if metadata.description_content_type != "text/markdown" or (metadata.description or "").strip() != readme.strip():
        raise ReleaseError(
            f"the description of {wheel.name} is not README.md as Markdown; see readme in pyproject.toml"
        )


def try_wheel(wheel: Path, version: str, constraints: Path) -> str:
    """Install the wheel in an empty environment and let it speak there; return what was heard of it.

    Raises:
        ReleaseError: it is not the wheel that spoke, or nothing was heard.
    """
    with tempfile.TemporaryDirectory(prefix="csm-release-") as folder:
        home = Path(folder)
        venv.create(home / "venv", with_pip=True)
        programs = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
        install = (str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        torch = next(
            line for line in constraints.read_text(encoding="utf-8").splitlines() if line.startswith("torch==")
        )
        _run(home, *install, torch)
        _run(home, *install, str(wheel), "-c", str(constraints))
        _run(home, str(programs / "csm"), "say", "Hello there.", "--seed", "1", "-o", "hello.wav")
        told = _told(home, str(programs / "python"), "-c", SPOKEN)
        installed, named, file, rate, seconds, loudest = told.splitlines()
        if {installed, named} != {version} or not Path(file).is_relative_to(home.resolve()):
            raise ReleaseError(f"what spoke is not {wheel.name} but {installed}, {named} in {file}; clear PYTHONPATH")
        if rate != "24000" or not 0.3 < float(seconds) < 10 or float(loudest) < 0.05:
            raise ReleaseError(f"csm say made {seconds} s at {rate} Hz, at its loudest {loudest}: that is no speech")
        return f"{float(seconds):.1f} s of speech"


def release(root: Path, dist: Path, *, dry: bool, ask: Callable[[str], str] = input) -> str:
    """Build, try and, unless it is dry, tag a release; return its version.

    Args:
        root: of the git repository.
        dist: where the two files go.
        dry: change nothing but `dist`.
        ask: puts a question; "y" is yes.

    Raises:
        ReleaseError: it cannot be released.
    """
    version = version_of((root / VERSION_FILE).read_text(encoding="utf-8"))
    upcoming, tag = next_version(version, (root / CHANGELOG).read_text(encoding="utf-8")), ""
    if not dry:
        tag = f"v{upcoming}"
        if _told(root, "git", "status", "--porcelain").strip():
            raise ReleaseError("the tree has changes that are not committed; commit or stash them")
        if _told(root, "git", "tag", "--list", tag).strip():
            raise ReleaseError(f"there is a tag {tag} already; write down in {CHANGELOG} what is new since then")
    today = date.today()
    with tempfile.TemporaryDirectory(prefix="csm-build-") as folder:
        tree = Path(folder)
        copy_tree(root, tree)
        write_version(tree, upcoming, today)
        write_readme(tree, upcoming)
        wheel = build(tree, dist)
        check_metadata(wheel, upcoming, (tree / "README.md").read_text(encoding="utf-8"))
    print(f"{wheel.name}: {try_wheel(wheel.resolve(), upcoming, (root / 'constraints.txt').resolve())}")
    if not dry and ask(f"Commit version {upcoming} and tag it {tag}? [y/N] ").strip().lower() == "y":
        write_version(root, upcoming, today)
        _run(root, "git", "add", VERSION_FILE, CHANGELOG)
        _run(root, "git", "commit", "--quiet", "--allow-empty", "-m", f"Release {upcoming}")
        _run(root, "git", "tag", "--annotate", tag, "-m", f"csm-plugin {upcoming}")
        print(f"tagged {tag}; nothing was pushed or uploaded")
    return upcoming


def _run(folder: Path, *command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, cwd=folder, check=True, env=_environment())


def _told(folder: Path, *command: str) -> str:
    """Run a command that must succeed; return what it printed."""
    return subprocess.run(command, cwd=folder, check=True, env=_environment(), stdout=subprocess.PIPE, text=True).stdout


def _environment() -> dict[str, str]:
    """The environment without what would lead back into the tree, or to a hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CSM_", "PYTHONPATH"))}
    return kept | {"HF_HUB_OFFLINE": "1"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it from a shell; return the exit code."""
    parser = argparse.ArgumentParser(prog="release.py", description="Build, try and tag a release; push nothing.")
    parser.add_argument("--dry", action="store_true", help="change nothing but the folder with what is built")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where that goes (default: dist)")
    given = parser.parse_args(arguments)
    try:
        print(release(ROOT, given.dist, dry=given.dry))
    except (ReleaseError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
