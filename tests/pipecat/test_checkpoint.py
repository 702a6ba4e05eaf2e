"""A checkpoint that speaks, in a conversation with interruptions: ledger, LLM's context and ear agree.

For the bundled checkpoint in the voice that is understood best, or what CSM_MODEL and CSM_VOICE name. How well a
checkpoint speaks is the business of `csm eval`; here it says what it says well. In real time, so it takes minutes.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from csm_plugin import Engine, Sampling
from csm_plugin.conversation import VoiceLibrary
from csm_plugin.evaluation.dialogue import Condition, Dialogue, speak
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.model.checkpoint import BUNDLED
from csm_plugin.pipecat import CSMTTSService
from tests.pipecat.recognised import LONGEST_S, TURNS, Judge, replies
from tests.pipecat.room import talking
from tests.pipecat.test_heard import interrupted_turns

pytest.importorskip("moonshine_voice", reason="the recogniser is not installed: extra eval")

REAL_TIME = True
CHECKPOINT = Path(os.environ.get("CSM_MODEL") or BUNDLED / "csm-tiny")
VOICE = os.environ.get("CSM_VOICE", None if "CSM_MODEL" in os.environ else "robert")
TAKES = 3  # of each sentence


@pytest.fixture
def speaking_engine() -> Iterator[Engine]:
    if not CHECKPOINT.is_dir():
        pytest.skip(f"there is no checkpoint in {CHECKPOINT}: install csm-plugin again, or name one by CSM_MODEL")
    with Engine.load(CHECKPOINT) as engine:
        yield engine


def understood(engine: Engine) -> list[str]:
    """The sentences of which the recogniser hears every word, whenever the checkpoint speaks them among others."""
    voice = VoiceLibrary.beside(CHECKPOINT).get(VOICE) if VOICE else None

    def misread(take: int) -> set[str]:
        order = random.Random(take).sample(HELD_OUT, len(HELD_OUT))
        take_of_all = Dialogue(Condition.ALONE, tuple(order), Sampling(seed=1_000 * take), voice)
        spoken = zip(order, speak(engine, take_of_all), strict=True)
        return {text for text, said in spoken if errors(plain(said.text), hear(said.pcm))[0]}

    with ThreadPoolExecutor(TAKES) as pool:
        never = set[str]().union(*pool.map(misread, range(TAKES)))
    return [text for text in HELD_OUT if text not in never]


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_in_twenty_interrupted_turns_what_was_committed_is_what_was_played(speaking_engine: Engine) -> None:
    sentences = understood(speaking_engine)
    assert len(sentences) >= TURNS, "the checkpoint is hardly understood"
    judge = Judge()
    service = CSMTTSService(engine=speaking_engine, settings=CSMTTSService.Settings(voice=VOICE, seed=1))
    async with talking(service, replies(sentences), tracked=True) as room:
        cut = await interrupted_turns(room, random.Random(5), longest_s=LONGEST_S, witness=judge)
    assert cut >= TURNS // 3
    assert room.session.errors == []
    print(f"word error {judge.check():.3f} over {TURNS} turns, {cut} of them cut off, of {len(sentences)} sentences")
