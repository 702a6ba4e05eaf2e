"""docs/recipes.md: its commands and programs run as they stand, against a server with its voice and its key."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from csm_plugin.model.checkpoint import BUNDLED
from tests.server.running import RunningServer, running

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NODE = shutil.which("node")
(CURL,) = (block for language, block in BLOCKS if block.startswith("curl"))
(PYTHON,) = (block for language, block in BLOCKS if language == "python")
(JAVASCRIPT,) = (block for language, block in BLOCKS if language == "js")


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the key and the voice that the recipes name."""
    voices = tmp_path_factory.mktemp("voices")
    for suffix in (".flac", ".txt"):
        shutil.copy(BUNDLED / "csm-tiny" / "voices" / f"clara{suffix}", voices)
    with running(tiny_checkpoint, api_keys="first-key", voices=voices) as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def here(block: str, server: RunningServer) -> str:
    assert "127.0.0.1:8000" in block
    return block.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")


def heard(folder: Path) -> int:
    sound, rate = soundfile.read(folder / "hello.wav")
    assert rate == 24_000
    return len(sound)


def test_every_block_is_tried_here_or_is_a_command_of_the_guide() -> None:
    others = [block for _, block in BLOCKS if block not in (CURL, PYTHON, JAVASCRIPT)]
    assert [re.findall(r"csm serve|pip install", block) for block in others] == [
        ["pip install", "csm serve"],
        ["csm serve"],
    ]


def test_the_curl_command_speaks(server: RunningServer, folder: Path) -> None:
    subprocess.run(["bash", "-euc", here(CURL, server)], check=True, timeout=60)
    assert heard(folder) > 24_000


def test_the_python_program_speaks(server: RunningServer, folder: Path) -> None:
    exec(compile(here(PYTHON, server), "recipes.md", "exec"), {})
    assert heard(folder) > 24_000


@pytest.mark.skipif(NODE is None, reason="node is not there")
def test_the_node_program_speaks(server: RunningServer, folder: Path) -> None:
    """The package stands in for OpenAI's: it sends the order as it was given, by the address and key it was given."""
    package = folder / "node_modules" / "openai"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "openai", "type": "module", "main": "index.js"}')
    (package / "index.js").write_text(STAND_IN)
    (folder / "hello.mjs").write_text(here(JAVASCRIPT, server))
    subprocess.run([str(NODE), "hello.mjs"], check=True, timeout=60)
    assert heard(folder) > 24_000


STAND_IN = """
export default class {
  constructor({ baseURL, apiKey }) {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${apiKey}` };
    const send = (order) => fetch(`${baseURL}/audio/speech`, { method: "POST", headers, body: JSON.stringify(order) });
    this.audio = { speech: { create: send } };
  }
}
"""
