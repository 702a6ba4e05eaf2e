"""The stand-in of the hub, and `csm models` run against it as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hub.stand_in import Hub, running_hub

ROOT = Path(__file__).resolve().parents[2]
_RUN = """
import sys
from csm_plugin.model.hub import transfer
transfer._PAUSE_S = 0
{before}
from csm_plugin.cli import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Told:
    """What a command left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def folder(self) -> Path:
        """The folder that `csm models fetch` printed."""
        assert self.code == 0, self.err
        return Path(self.out.rstrip("\n"))

    @property
    def refusal(self) -> str:
        """The one line with which the command ended."""
        assert self.code == 1 and self.out == "", (self.code, self.out)
        (line,) = self.err.splitlines()
        return line


@dataclass(frozen=True)
class Csm:
    """Runs `csm models …` with a hub and a cache of its own."""

    hub: Hub
    home: Path

    @property
    def cache(self) -> Path:
        return self.home / "hub"

    def models(self, *arguments: str, before: str = "", **environment: str) -> Told:
        """Run `csm models …`; `before` is Python that runs first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        own = {"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.home), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        command = [sys.executable, "-c", _RUN.format(before=before), "models", *arguments]
        done = subprocess.run(
            command, env=kept | own | environment, capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL
        )
        return Told(done.returncode, done.stdout, done.stderr)

    def fetch(self, model: str, *options: str, before: str = "", **environment: str) -> Told:
        return self.models("fetch", model, *options, before=before, **environment)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def csm(hub: Hub, tmp_path: Path) -> Csm:
    return Csm(hub, tmp_path / "home")


def files_in(folder: Path) -> set[str]:
    """The names of the files in a snapshot."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
