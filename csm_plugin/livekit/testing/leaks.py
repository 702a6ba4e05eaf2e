"""Finding work that is left over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PATIENCE_S = 1.0


@asynccontextmanager
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail if tasks that were begun inside are still there a second after.

    Raises:
        AssertionError: there are; it names them.
    """
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=PATIENCE_S)
    if left:
        raise AssertionError(f"{len(left)} tasks are left over: {sorted(str(task.get_coro()) for task in left)}")
