"""Tests run in virtual time, but for modules that say `REAL_TIME = True`: those with processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from livekit.agents.llm import ChatMessage

from csm_plugin.livekit.testing import no_leaked_tasks
from tests.pipecat.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    real = getattr(getattr(item, "module", None), "REAL_TIME", False)
    return {"real": asyncio.new_event_loop} if real else {"virtual": VirtualTimeLoop}


@pytest.fixture
async def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a session's clock be the loop's, so that it knows to the sample how much was played."""
    loop, began_s = asyncio.get_running_loop(), time.time()
    monkeypatch.setattr(time, "time", lambda: began_s + loop.time())
    make = ChatMessage.__init__  # which took the clock for its default when it was defined

    def make_now(message: ChatMessage, **given: Any) -> None:
        make(message, **{"created_at": time.time()} | given)

    monkeypatch.setattr(ChatMessage, "__init__", make_now)


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fail if the test leaves tasks behind."""
    async with no_leaked_tasks():
        yield
