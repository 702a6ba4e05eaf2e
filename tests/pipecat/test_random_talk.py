"""Random conversations: everything is said in order or cut by an interruption, and both contexts remember the same."""

from __future__ import annotations

import pytest

from tests.pipecat.random_talk import converse

QUICK, ALL = 30, 500


@pytest.mark.parametrize("seed", range(QUICK))
async def test_a_random_conversation_holds(seed: int) -> None:
    await converse(seed)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("tens", range(QUICK, ALL, 10))
async def test_many_random_conversations_hold(tens: int) -> None:
    for seed in range(tens, tens + 10):
        await converse(seed)
