"""docs/server.md and docs/socket.md say what the code does: tables follow from it, and examples run as they stand."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import soundfile
import yaml

from csm_plugin.cli import main
from csm_plugin.server.documentation import PAGES, fill, parts
from tests.server.running import RunningServer
from tests.server.socket_client import client

PAGE_TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
HOST = "127.0.0.1:8000"


BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE_TEXT, re.MULTILINE | re.DOTALL)


def blocks(language: str, start: str = "") -> list[str]:
    return [block for kind, block in BLOCKS if kind == language and block.startswith(start)]


def test_its_tables_are_what_the_code_says() -> None:
    assert fill(PAGE_TEXT) == PAGE_TEXT, "run python -m csm_plugin.server.documentation"
    assert all(PAGE_TEXT.count(f"<!-- {name} -->") == 1 for name in parts())


def test_every_block_is_of_a_kind_that_is_tried_here() -> None:
    assert len(BLOCKS) == len(blocks("bash")) + len(blocks("python")) + len(blocks("", "→"))
    lines = [line for block in blocks("bash") for line in block.splitlines() if not line.startswith(" ")]
    assert {re.split("[ =]", line)[0] for line in lines} <= {"pip", "csm", "CSM_API_KEYS", "curl", "docker"}


def test_the_commands_that_serve_are_taken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    served = [line for block in blocks("bash") for line in block.splitlines() if "csm serve" in line]
    assert len(served) >= 2
    for line in served:
        environment, _, arguments = line.partition("csm ")
        for setting in shlex.split(environment):
            monkeypatch.setenv(*setting.split("=", 1))
        assert main([*shlex.split(arguments), "--print-config"]) == 0
        printed = capsys.readouterr().out
        assert yaml.safe_load(printed)["port"] == 8000
        assert "first-key" not in printed


@pytest.mark.parametrize("command", blocks("bash", "curl"), ids=lambda command: command.split()[1])
def test_a_curl_command_runs(server: RunningServer, tmp_path: Path, command: str) -> None:
    here = command.replace(HOST, f"127.0.0.1:{server.port}")
    subprocess.run(["bash", "-euc", here], cwd=tmp_path, check=True, timeout=60, capture_output=True)
    sound, rate = soundfile.read(tmp_path / "hello.wav")
    assert rate == 24_000
    assert len(sound) > 24_000


@pytest.mark.parametrize("source", blocks("python"), ids=lambda source: source.splitlines()[0][:40])
def test_a_python_example_runs(server: RunningServer, source: str) -> None:
    names: dict[str, object] = {}
    exec(compile(source.replace(HOST, f"127.0.0.1:{server.port}"), "server.md", "exec"), names)
    assert len(names["pcm"]) > 24_000  # type: ignore[arg-type]


async def test_an_exchange_over_the_socket_is_as_it_is_written(server: RunningServer) -> None:
    (lines,) = [block.splitlines() for block in blocks("", "→")]
    written = [json.loads(line[2:]) for line in lines if line.startswith("← {")]
    async with client(server.ws) as one:
        for line in lines:
            if line.startswith("→"):
                await one.socket.send(line[2:])
        told = []
        while not told or told[-1]["type"] != "done":
            message = await one.receive()
            if message["type"] not in ("binary", "stats"):
                told.append(message)
    order = list(dict.fromkeys(message["type"] for message in told))
    assert order == [message["type"] for message in written]
    for message in written:
        assert set(message) == set(next(one for one in told if one["type"] == message["type"]))
