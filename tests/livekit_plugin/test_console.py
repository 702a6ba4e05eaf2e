"""A whole worker process without a server and without keys: text in, speech out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from csm_plugin.audio.pcm import resample
from csm_plugin.evaluation.errors import EvaluationError
from csm_plugin.evaluation.recognition import hear, load_recogniser, plain
from csm_plugin.livekit.testing import ConsoleBridge
from csm_plugin.livekit.testing.console_bridge import RATE_HZ
from csm_plugin.settings import SAMPLE_RATE_HZ
from tests.livekit_plugin.collecting import until
from tests.livekit_plugin.console_agent import BEFORE, NOTED, REPLY, script
from training.errors import SynthesisError

REAL_TIME = True
AGENT = Path(__file__).parent / "console_agent.py"
ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def speech_and_ears() -> None:
    """Skip where nobody can speak or listen."""
    try:
        script(REPLY)
        load_recogniser()
    except (SynthesisError, EvaluationError) as error:
        pytest.skip(str(error))


def heard(played: npt.NDArray[np.int16]) -> str:
    """The words that a recogniser hears in what was played, int16 [samples] at 48 kHz."""
    return hear(resample(played.astype(np.float32) / 32_768, RATE_HZ, SAMPLE_RATE_HZ))


async def test_an_interruption_after_1_5_s_leaves_exactly_the_words_that_were_played(tmp_path: Path) -> None:
    async with ConsoleBridge.run(AGENT, environment={"PYTHONPATH": str(ROOT)}, folder=tmp_path) as bridge:
        noted = tmp_path / NOTED
        first = asyncio.create_task(bridge.session.run("Hello."))
        await until(lambda: bridge.position_s >= 1.5 and noted.read_text() == BEFORE, timeout_s=90)
        handed_over = len(bridge.current)
        # A text turn interrupts, and is answered with what the conversation holds of the reply.
        await bridge.session.run("What did you say?")
        await first
        assert await bridge.said() == [(BEFORE, True), (BEFORE, False)]

        cut, again = bridge.played
        assert 1.5 * RATE_HZ <= len(cut) < handed_over
        assert heard(cut) == heard(again) == plain(BEFORE)
