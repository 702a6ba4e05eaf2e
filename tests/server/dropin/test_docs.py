"""The examples of docs/dropin.md run as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from agents.backends import chosen_backend
from csm_plugin.model import checkpoint
from tests.server.running import RunningServer

PAGE = (Path(__file__).parents[3] / "docs" / "dropin.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(language: str, start: str = "") -> list[str]:
    return [block for kind, block in BLOCKS if kind == language and block.startswith(start)]


def test_every_block_is_tried_here() -> None:
    assert len(BLOCKS) == len(blocks("bash", "curl")) + len(blocks("bash", "TTS_BACKEND")) + len(blocks("python")) == 6


@pytest.mark.parametrize("command", blocks("bash", "curl"), ids=lambda command: command.split()[1])
def test_a_curl_command_runs(server: RunningServer, tmp_path: Path, command: str) -> None:
    here = command.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}").replace("curl ", "curl --fail ")
    ran = subprocess.run(["bash", "-euc", here], cwd=tmp_path, check=True, timeout=60, capture_output=True)
    assert len(ran.stdout) + sum(file.stat().st_size for file in tmp_path.iterdir()) > 20_000


@pytest.mark.parametrize("source", blocks("python"), ids=["Sesame_TTS", "csm-streaming-tf"])
def test_a_python_example_runs(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    (bundled / "csm-tiny").symlink_to(tiny_checkpoint)
    monkeypatch.setattr(checkpoint, "BUNDLED", bundled)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(source, "dropin.md", "exec"), names)
    made = names.get("wav", names.get("audio"))
    assert len(made) > 20_000  # type: ignore[arg-type]


def test_the_backend_that_is_named_can_be_had() -> None:
    (command,) = blocks("bash", "TTS_BACKEND")
    environment = dict(word.split("=", 1) for word in shlex.split(command) if "=" in word)
    backend = chosen_backend(environment)
    assert backend is not None and backend.name == "sesame"
