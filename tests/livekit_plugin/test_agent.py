"""The whole LiveKit agent in a worker process of its own: speech in, recognised and answered with sound."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from agents import livekit_agent
from agents.brain import answer
from csm_plugin.livekit.testing import ConsoleBridge
from tests.livekit_plugin.collecting import until
from training.corpus.flite import say
from training.errors import SynthesisError

REAL_TIME = True
ROOT = Path(livekit_agent.__file__).parents[1]
pytestmark = pytest.mark.timeout(300)
STORY = answer([{"role": "user", "content": "Tell me a story."}])
WARM_UP_S = 3.0
"""For so long after its first words LiveKit lets nobody interrupt, because of echoes."""


def spoken(text: str) -> tuple[npt.NDArray[np.float32], int]:
    """A sentence with silence around it: float32 [samples], and its rate."""
    try:
        said = say(text, "slt")
    except SynthesisError as error:
        pytest.skip(str(error))
    before, after = np.zeros(said.sample_rate // 5, np.float32), np.zeros(said.sample_rate * 2, np.float32)
    return np.concatenate((before, said.samples, after)), said.sample_rate


async def test_it_can_be_interrupted_by_voice_and_answers_what_it_heard(
    nothing_left: None, tiny_checkpoint: Path
) -> None:
    environment = {"PYTHONPATH": str(ROOT), "CSM_MODEL": str(tiny_checkpoint), "OPENAI_API_KEY": ""}
    async with ConsoleBridge.run(ROOT / "agents" / "livekit_agent.py", environment=environment) as bridge:
        heard: list[str] = []
        bridge.session.on("user_input_transcribed", lambda event: heard.append(event.user_input_transcribed.transcript))
        first = asyncio.create_task(bridge.session.run("Tell me a story."))
        await until(lambda: bridge.position_s > WARM_UP_S + 0.5, timeout_s=90)
        assert np.abs(bridge.current).max() > 100

        speech = asyncio.create_task(bridge.speak(*spoken("What can you do?")))
        await first
        ((story, interrupted),) = [reply for reply in await bridge.said() if reply[0].startswith("Here is")]
        assert interrupted and STORY.startswith(story) and story != STORY

        await speech
        await until(lambda: bool(heard) and bridge.position_s > 0.5, timeout_s=90)
        assert heard[-1].strip(" .?").lower() == "what can you do"
        assert np.abs(bridge.current).max() > 100
