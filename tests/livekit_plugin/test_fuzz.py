"""Random conversations in attached sessions: all is said in order or cut, and the voice remembers what the LLM does."""

from __future__ import annotations

import pytest

from tests.livekit_plugin.fuzzing import converse

pytestmark = pytest.mark.usefixtures("nothing_left", "virtual_clock")

QUICK, ALL = range(22), range(22, 500)


@pytest.mark.parametrize("seed", [*QUICK, *(pytest.param(seed, marks=pytest.mark.slow) for seed in ALL)])
async def test_a_random_conversation_is_said_in_order_and_remembered_as_the_llm_does(seed: int) -> None:
    outcome = await converse(seed)
    assert outcome.unsaid == [] and outcome.out_of_order == [] and outcome.steps
    for voice, remembered in outcome.remembered.items():
        assert remembered == outcome.history[voice], outcome.told()
