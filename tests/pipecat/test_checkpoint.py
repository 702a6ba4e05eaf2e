"""A checkpoint that speaks, in a conversation with interruptions: ledger, LLM's context and ear agree.

For the bundled checkpoint in the voice that is understood best, or what CSM_MODEL and CSM_VOICE name. In real time, so
it takes minutes.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from csm_plugin import Engine
from csm_plugin.model.checkpoint import BUNDLED
from csm_plugin.pipecat import CSMTTSService
from tests.pipecat.recognised import LONGEST_S, REPLIES, TURNS, Judge
from tests.pipecat.room import talking
from tests.pipecat.test_heard import interrupted_turns

pytest.importorskip("moonshine_voice", reason="the recogniser is not installed: pip install 'csm-plugin[eval]'")

REAL_TIME = True
CHECKPOINT = Path(os.environ.get("CSM_MODEL") or BUNDLED / "csm-tiny")


@pytest.fixture
def speaking_engine() -> Iterator[Engine]:
    if not CHECKPOINT.is_dir():
        pytest.skip(f"there is no checkpoint in {CHECKPOINT}: install csm-plugin again, or name one by CSM_MODEL")
    with Engine.load(CHECKPOINT) as engine:
        yield engine


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_in_twenty_interrupted_turns_what_was_committed_is_what_was_played(speaking_engine: Engine) -> None:
    judge = Judge(clear=False)
    voice = os.environ.get("CSM_VOICE", None if "CSM_MODEL" in os.environ else "robert")
    service = CSMTTSService(engine=speaking_engine, settings=CSMTTSService.Settings(voice=voice, seed=1))
    async with talking(service, REPLIES, tracked=True) as room:
        cut = await interrupted_turns(room, random.Random(5), longest_s=LONGEST_S, witness=judge)
    assert cut >= TURNS // 3
    assert room.session.errors == []
    print(f"word error {judge.check():.3f} over {TURNS} turns, {cut} of them cut off")
