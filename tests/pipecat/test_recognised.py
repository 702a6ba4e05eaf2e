"""What was committed is what a recogniser reads in the sound that was played, and the judge of that can say no."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from csm_plugin.conversation.words import Word
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES
from tests.pipecat.recognised import LONGEST_S, REPLIES, TURNS, Judge
from tests.pipecat.room import talking
from tests.pipecat.test_heard import interrupted_turns
from tests.scripted_engine import Script, ScriptedEngine
from tests.spoken_script import spoken_script
from training.errors import SynthesisError

pytest.importorskip("moonshine_voice", reason="the recogniser is not installed: extra eval")


CHUNK_FRAMES = 4


def spoken(text: str) -> Script:
    """Speech of another synthesiser, with its word times, made at three times the pace at which it is heard."""
    try:
        script = spoken_script(text)
    except SynthesisError as error:
        pytest.skip(str(error))
    return replace(script, frames_per_chunk=CHUNK_FRAMES, frame_delay_s=CHUNK_FRAMES * FRAME_S / 3)


def other_words(text: str) -> Script:
    """The words of another sentence under the times of this one."""
    other = spoken("Nobody ever wanted any of that strange blue cheese.").sound
    script = spoken(text)
    return replace(script, sound=np.resize(other, (script.frames or 0) * FRAME_SAMPLES))


def hasty(text: str) -> Script:
    """Words that are said to be spoken two seconds before they are."""
    script = spoken(text)
    words = (Word(w.text, max(0.0, w.start_s - 2), max(0.01, w.end_s - 2)) for w in script.words or ())
    return replace(script, words=tuple(words))


async def conversation(
    script: Callable[[str], Script], *, turns: int, longest_s: float = LONGEST_S
) -> tuple[Judge, int]:
    """Talk with interruptions at random moments; return the judge, and how many replies were cut off."""
    judge = Judge()
    service = CSMTTSService(engine=ScriptedEngine(script))
    async with talking(service, REPLIES, tracked=True) as room:
        cut = await interrupted_turns(room, random.Random(5), turns=turns, longest_s=longest_s, witness=judge)
    assert room.session.errors == []
    return judge, cut


@pytest.mark.timeout(600)
async def test_in_twenty_interrupted_turns_what_was_committed_is_what_was_played() -> None:
    judge, cut = await conversation(spoken, turns=TURNS)
    assert cut >= TURNS // 3
    print(f"word error {judge.check():.3f} over {TURNS} turns, {cut} of them cut off")


@pytest.mark.parametrize("script", [other_words, hasty])
async def test_the_judge_notices_words_that_were_not_played(script: Callable[[str], Script]) -> None:
    judge, _ = await conversation(script, turns=4, longest_s=2.0)
    with pytest.raises(AssertionError, match="turn"):
        judge.check()
