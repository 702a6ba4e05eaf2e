"""The examples run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from csm_plugin.audio import read_audio

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_a_pipecat_pipeline_writes_a_reply(tiny_checkpoint: Path, tmp_path: Path) -> None:
    await example("pipecat_to_wav").main(str(tiny_checkpoint), str(tmp_path / "reply.wav"))
    pcm, rate = read_audio(tmp_path / "reply.wav")
    assert rate == 24_000 and len(pcm) > rate
    assert abs(pcm).max() > 0
