"""Keeps an engine: loads it, watches over it, and loads it again when it has died."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal, TypeVar

from loguru import logger

from csm_plugin.errors import CSMError, EngineClosedError
from csm_plugin.server.shared.errors import Unavailable

if TYPE_CHECKING:
    from csm_plugin.engine import Engine

LOOK_S = 0.25
"""How often the engine is looked at."""

RESTARTS_IN_S = 300.0
MEMORY_FAILURES, MEMORY_IN_S = 3, 60.0
"""So many failures for want of memory in so many seconds, and the server is not ready for as long."""

CLOSE_S = 2.0
"""How long to wait for an engine's thread."""

T = TypeVar("T")
State = Literal["loading", "ready", "restarting", "failed", "closed"]


class EngineKeeper:
    """The server's engine. For one event loop.

    Args:
        load: loads an engine; called in a thread.
        hang_s: an engine whose device thread does not go round for so long is dead.
        max_restarts: in five minutes; with one more death `failed` is called.
        failed: called once when there will be no engine any more.
        clock: seconds on a clock that never goes back.
    """

    def __init__(
        self,
        load: Callable[[], Engine],
        *,
        hang_s: float = 10.0,
        max_restarts: int = 3,
        failed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._hang_s = hang_s
        self._max_restarts = max_restarts
        self._failed = failed
        self._clock = clock
        self._engine: Engine | None = None
        self._task: asyncio.Task[None] | None = None
        self._loaded = asyncio.Event()
        self._suspected = asyncio.Event()
        self._readers: set[asyncio.Timeout] = set()
        self._deaths: deque[float] = deque()
        self._memory_failures: deque[float] = deque(maxlen=MEMORY_FAILURES)
        self.state: State = "loading"
        self.restarts = 0
        self.error: CSMError | None = None
        """Why there is no engine, once the state is "failed"."""

    @property
    def engine(self) -> Engine:
        """The engine.

        Raises:
            Unavailable: it is loading, or died and is being loaded again, or memory ran out too often.
        """
        if self._engine is None:
            raise Unavailable(f"the engine is {self.state}; try again in a moment", self.state, 2.0)
        if self._short_of_memory:
            raise Unavailable("the engine ran out of memory several times; try again later", "out_of_memory", 30.0)
        return self._engine

    @property
    def is_ready(self) -> bool:
        """Whether it can speak now."""
        return self._engine is not None and not self._short_of_memory

    def start(self) -> None:
        """Begin to load."""
        self._task = asyncio.create_task(self._keep(), name="csm-keeper")

    async def wait(self) -> None:
        """Wait until the first load is over.

        Raises:
            CSMError: it failed.
        """
        await self._loaded.wait()
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        """Close the engine and stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.state = "closed"
        await self._drop()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Wait for the engine in the block: if it dies meanwhile, so does the wait.

        Raises:
            EngineClosedError: the engine died.
        """
        limit = asyncio.timeout(None)
        self._readers.add(limit)
        try:
            async with limit:
                yield
        except TimeoutError:
            raise EngineClosedError("the engine died and is loaded again; try again in a moment") from None
        finally:
            self._readers.discard(limit)

    def note(self, error: BaseException) -> None:
        """Note an error that a reader met: it may tell of a dead engine, or of too little memory."""
        if is_memory_error(error):
            self._memory_failures.append(self._clock())
            logger.warning("the engine ran out of memory", failures=len(self._memory_failures))
        if isinstance(error, EngineClosedError):
            self._suspected.set()

    @property
    def _short_of_memory(self) -> bool:
        times = self._memory_failures
        return len(times) == MEMORY_FAILURES and self._clock() - times[0] < MEMORY_IN_S

    async def _keep(self) -> None:
        """Keep the engine; without a keeper there is none."""
        try:
            await self._load_again_and_again()
        except Exception as error:
            logger.error("watching the engine failed ({}: {})", type(error).__name__, error)
            await self._drop()
            self._give_up(EngineClosedError(f"watching the engine failed ({type(error).__name__})"))

    async def _load_again_and_again(self) -> None:
        """Load the engine, and load it again whenever it dies, until that is no use."""
        while True:
            try:
                self._engine = await in_daemon_thread(self._load)
            except CSMError as error:
                return self._give_up(error)
            except Exception as error:
                logger.error("loading the engine failed ({}: {})", type(error).__name__, error)
                return self._give_up(EngineClosedError(f"loading the engine failed ({type(error).__name__})"))
            self.state = "ready"
            self._loaded.set()
            cause = await self._watch(self._engine)
            self.state = "restarting"
            await self._drop()
            self._deaths.append(self._clock())
            while self._clock() - self._deaths[0] > RESTARTS_IN_S:
                self._deaths.popleft()
            logger.error("the engine is dead: {}", cause, deaths=len(self._deaths))
            if len(self._deaths) > self._max_restarts:
                return self._give_up(EngineClosedError(f"the engine died {len(self._deaths)} times in 5 minutes"))
            self.restarts += 1

    async def _watch(self, engine: Engine) -> str:
        """Return, with the reason, once an engine is dead."""
        rounds, moved_at = engine.rounds, self._clock()
        while True:
            self._suspected.clear()
            if (now_at := engine.rounds) != rounds or not engine.stats().conversations:
                rounds, moved_at = now_at, self._clock()
            if self._clock() - moved_at > self._hang_s:
                return f"its device thread hangs for {self._hang_s:g} s"
            if not is_alive(engine):
                return "it closed by itself"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._suspected.wait(), LOOK_S)

    async def _drop(self) -> None:
        """Close an engine and end what waits for it; one whose thread hangs is left behind."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        for limit in self._readers:
            limit.reschedule(asyncio.get_running_loop().time())
        closing = threading.Thread(target=engine.close, name="csm-close", daemon=True)
        closing.start()
        for _ in range(int(CLOSE_S / 0.02)):
            if not closing.is_alive():
                break
            await asyncio.sleep(0.02)

    def _give_up(self, error: CSMError) -> None:
        self.state = "failed"
        self.error = error
        self._loaded.set()
        logger.error("there is no engine: {}", error)
        self._failed()


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """Run something that may take minutes, without keeping the process from ending meanwhile."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="csm-load", daemon=True).start()
    return await asyncio.wrap_future(done)


def is_alive(engine: Engine) -> bool:
    """Whether an engine still takes conversations. Wakes its device thread."""
    try:
        engine.conversation().close()
    except EngineClosedError:
        return False
    return True


def is_memory_error(error: BaseException | None) -> bool:
    """Whether at the bottom of an error the host's or the device's memory ran out."""
    while error is not None:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        error = error.__cause__
    return False
