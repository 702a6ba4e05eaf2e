"""The examples in docs/pipecat.md run as they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pipecat.frames.frames import LLMRunFrame, TTSSpeakFrame, TTSUpdateSettingsFrame
from pipecat.processors.filters.identity_filter import IdentityFilter

from csm_plugin.pipecat import CSMTTSService
from tests.pipecat.harness import running
from tests.pipecat.room import Brain, Loudspeaker

REAL_TIME = True
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pipecat.md").read_text(encoding="utf-8")
AGENT, SETTINGS, SCRIPT = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def place(small_csm_tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and a `csm-tiny` that loads in no time."""
    monkeypatch.chdir(tmp_path)


@contextmanager
def defined_by(source: str) -> Iterator[dict[str, Any]]:
    """What a block defines; its engine is closed at the end."""
    names: dict[str, Any] = {}
    exec(compile(source, "pipecat.md", "exec"), names)
    with names["engine"]:
        yield names


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """What the first block defines."""
    with defined_by(AGENT) as names:
        yield names


async def test_the_agent_answers(names: dict[str, Any]) -> None:
    speaker = Loudspeaker()
    transport = SimpleNamespace(input=IdentityFilter, output=lambda: speaker)
    async with running(names["agent"](transport, IdentityFilter(), Brain(["Of course."]))) as session:
        await session.send(LLMRunFrame())
        await session.until(lambda: len(speaker.sound) > 12_000)
        await session.worker.cancel()
    assert session.errors == []


async def test_the_settings_are_taken() -> None:
    with defined_by(SETTINGS) as names:
        tts: CSMTTSService = names["tts"]
        change: TTSUpdateSettingsFrame = names["change"]
        assert (tts.settings.temperature, tts.settings.seed) == (0.8, 1)
        async with running(tts, Loudspeaker()) as session:
            await session.send(change, TTSSpeakFrame("Hallo."))
            await session.until(lambda: tts.conversation.segments)
            await session.worker.cancel()
        assert session.errors == []
    assert (tts.settings.speaker, tts.settings.language) == (2, "de")
    told = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?`) \| ", PAGE, re.MULTILINE)))
    assert sorted(told) == sorted({f.name for f in fields(CSMTTSService.Settings)} - {"model", "extra"})


def test_the_script_tells_words_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(SCRIPT, "pipecat.md", "exec"), {})
    *words, segments = capsys.readouterr().out.splitlines()
    assert " ".join(line.split(": ")[1] for line in words) == "Of course. It is half past nine."
    assert "It is half past nine." in segments
    assert (tmp_path / "turns.png").read_bytes().startswith(b"\x89PNG")


def test_the_examples_are_all_listed() -> None:
    listed = set(re.findall(r"\(\.\./examples/(pipecat_\w+\.py)\)", PAGE))
    assert listed == {path.name for path in (ROOT / "examples").glob("pipecat_*.py")}


def test_the_figures_are_the_committed_results() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "pipecat_first_audio.json").read_text(encoding="utf-8"))
    waits = results["figures"]["ms from the LLM's first token to the first audio frame"]
    rows = [
        f"| {name} | {waits[key]['p50']:.0f} | {waits[key]['p95']:.0f} |"
        for name, key in (("new conversation", "empty"), ("1,500 positions of context", "full"))
    ]
    table = "\n".join(["| | p50 | p95 |", "| --- | --- | --- |", *rows])
    assert table in PAGE, table
