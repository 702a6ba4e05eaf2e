"""Where the engine is: passed in, in this process, behind a URL, or in a server beside the worker's processes."""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, ClassVar

from livekit.agents import JobExecutorType, get_job_context

from csm_plugin.errors import CSMError, SettingsError
from csm_plugin.livekit.log import logger

if TYPE_CHECKING:
    from csm_plugin.interface import SpeechEngine

DEFAULT_MODEL = "csm-tiny"


class Backend(ABC):
    """Finds an engine. Nothing here blocks; safe from any thread.

    Args:
        model: the model's name, as far as it is known beforehand.
    """

    def __init__(self, model: str) -> None:
        self._model = model

    @property
    def model(self) -> str:
        """The model's name."""
        return self._model

    @abstractmethod
    def begin(self) -> Future[SpeechEngine]:
        """Begin to prepare the engine, if nobody has; return it as it will be."""

    async def engine(self) -> SpeechEngine:
        """Return the engine once it can be used. Cancelling the wait does not stop the preparations.

        Raises:
            CSMError, OSError: there is none.
        """
        return await asyncio.wrap_future(self.begin())

    def revive(self) -> None:
        """Somebody could not reach the engine: see to it that it will be reached again. Returns at once."""
        return

    async def aclose(self) -> None:
        """Let go of what was opened; an engine that others use goes on."""
        return


class GivenEngine(Backend):
    """An engine that somebody else made, and closes."""

    def __init__(self, engine: SpeechEngine) -> None:
        super().__init__(engine.model_name)
        self._given: Future[SpeechEngine] = Future()
        self._given.set_result(engine)

    def begin(self) -> Future[SpeechEngine]:
        return self._given


class ThreadedBackend(Backend):
    """A backend whose engine takes a while to make, in a thread of its own; made again after a failure."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._lock = threading.Lock()
        self._made: Future[SpeechEngine] | None = None

    @abstractmethod
    def make(self) -> SpeechEngine:
        """Make the engine; may block, runs in a thread."""

    def begin(self) -> Future[SpeechEngine]:
        with self._lock:
            if self._made is None or (self._made.done() and self._made.exception() is not None):
                self._made = Future()
                self._made.set_running_or_notify_cancel()
                _in_thread(self._run, self._made)
            return self._made

    def _run(self, made: Future[SpeechEngine]) -> None:
        try:
            made.set_result(self.make())
        except BaseException as error:
            made.set_exception(error)


class SharedEngine(ThreadedBackend):
    """One engine per model for all jobs of this process; it lives until the process ends. Use `SharedEngine.of`."""

    _all: ClassVar[dict[str, SharedEngine]] = {}
    _all_lock = threading.Lock()

    @classmethod
    def of(cls, model: str) -> SharedEngine:
        """Return the process's engine for a model; nothing is loaded yet."""
        with cls._all_lock:
            return cls._all.setdefault(model, cls(model))

    def make(self) -> SpeechEngine:
        from csm_plugin.engine import Engine

        engine = Engine.load(self.model)
        atexit.register(engine.close)
        return engine


class RemoteBackend(ThreadedBackend):
    """A server's engine.

    Args:
        url: `http://host:port` or `ws://host:port`.
        api_key: one of the server's keys.
        model: as for `Backend`.
    """

    def __init__(self, url: str, api_key: str | None, model: str) -> None:
        super().__init__(model)
        self._url = url
        self._api_key = api_key

    def make(self) -> SpeechEngine:
        return connect(self._url, self._api_key)

    async def aclose(self) -> None:
        with self._lock:
            made, self._made = self._made, None
        if made is not None and made.done():
            await asyncio.to_thread(self._release, made)
        elif made is not None:
            made.add_done_callback(self._release)

    def _release(self, made: Future[SpeechEngine]) -> None:
        """Close an engine that nobody waits for any more."""
        if made.exception() is None:
            made.result().close()


class SidecarBackend(RemoteBackend):
    """The server that all processes of this machine share; started by whoever needs it first."""

    def __init__(self, model: str) -> None:
        try:
            from csm_plugin.livekit.sidecar import Sidecar
        except ModuleNotFoundError as error:  # fcntl, on Windows
            raise SettingsError(
                f"jobs that are processes share a server by Unix's file locks ({error.name}), which this system lacks: "
                "start one with csm serve, and pass TTS(base_url=…) or set CSM_BASE_URL"
            ) from None

        super().__init__("", None, model)
        self._sidecar = Sidecar(model)
        self._reviving = threading.Lock()

    def make(self) -> SpeechEngine:
        address = self._sidecar.start()
        return connect(address.url, address.api_key)

    def revive(self) -> None:
        with self._lock:
            is_used = self._made is not None
        if is_used and self._reviving.acquire(blocking=False):
            _in_thread(self._start_again)

    async def aclose(self) -> None:
        await super().aclose()
        await asyncio.to_thread(self._sidecar.leave)

    def _release(self, made: Future[SpeechEngine]) -> None:
        super()._release(made)
        with self._lock:
            is_used = self._made is not None
        if not is_used:
            self._sidecar.leave()

    def _start_again(self) -> None:
        try:
            self._sidecar.start()
        except CSMError as error:
            logger.error("the server beside the worker is gone: %s", error)
        finally:
            self._reviving.release()


def connect(url: str, api_key: str | None) -> SpeechEngine:
    """Return the engine behind a server's URL."""
    from csm_plugin.client import RemoteEngine

    return RemoteEngine(url, api_key=api_key)


def choose_backend(
    engine: SpeechEngine | None, *, base_url: str | None, api_key: str | None, model: str | None
) -> Backend:
    """Return the backend for what was given, and else for where this runs.

    An engine that is passed comes first, then a server's URL (`base_url`, else `CSM_BASE_URL`, with `CSM_API_KEY`).
    Without either, jobs that are threads of one process share an engine in it, and jobs that are processes share a
    server.
    """
    if engine is not None:
        return GivenEngine(engine)
    name = model or os.environ.get("CSM_MODEL") or DEFAULT_MODEL
    url = base_url or os.environ.get("CSM_BASE_URL")
    if url:
        return RemoteBackend(url, api_key or os.environ.get("CSM_API_KEY"), name)
    if jobs_are_processes():
        logger.debug("the engine is a server that all jobs of this machine share")
        return SidecarBackend(name)
    return SharedEngine.of(name)


def jobs_are_processes() -> bool:
    """Whether this is one of several processes that would each load weights of their own."""
    job = get_job_context(required=False)
    if job is not None:
        return job.proc.executor_type is JobExecutorType.PROCESS
    return multiprocessing.parent_process() is not None


def _in_thread(work: Callable[..., None], *args: object) -> None:
    threading.Thread(target=work, args=args, name="csm-engine", daemon=True).start()
