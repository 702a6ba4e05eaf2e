"""The examples in docs/livekit.md run as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from livekit.agents import AgentServer

from csm_plugin.model import checkpoint

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "livekit.md").read_text(encoding="utf-8")
AGENT, *SCRIPTS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def small_csm_tiny(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `csm-tiny` be a checkpoint that loads in no time."""
    (tmp_path / "csm-tiny").symlink_to(tiny_checkpoint)
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path)


def test_the_agent_is_one() -> None:
    names: dict[str, object] = {}
    exec(compile(AGENT, "livekit.md", "exec"), names)
    assert isinstance(names["server"], AgentServer)


@pytest.mark.parametrize("source", SCRIPTS, ids=["a text", "a session"])
def test_a_script_runs(source: str, small_csm_tiny: None, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(source, "livekit.md", "exec"), {})
    assert re.search(r"[1-9]", capsys.readouterr().out)


def test_the_figures_are_the_committed_results() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "livekit_first_audio.json").read_text(encoding="utf-8"))
    (waits,) = results["figures"].values()
    rows = [f"| {name} | {wait['p50']:.0f} | {wait['p95']:.0f} |" for name, wait in waits.items()]
    table = "\n".join(["| | p50 | p95 |", "| --- | --- | --- |", *rows])
    assert table in PAGE, table
