"""Tests run in virtual time, but for modules that say `REAL_TIME = True`: those with a real engine's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest
from loguru import logger

from tests.pipecat.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    real = getattr(getattr(item, "module", None), "REAL_TIME", False)
    return {"real": asyncio.new_event_loop} if real else {"virtual": VirtualTimeLoop}


@pytest.fixture(autouse=True)
def quiet_pipecat() -> Iterator[None]:
    """Without Pipecat's own log: it has a line for nearly every frame."""
    logger.disable("pipecat")
    yield
    logger.enable("pipecat")
