"""How busy the engine is, for LiveKit's choice of worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livekit.agents import JobExecutorType

from csm_plugin.livekit.backends import Backend, SharedEngine, SidecarBackend, choose_backend
from csm_plugin.livekit.log import logger

if TYPE_CHECKING:
    from csm_plugin.interface import SpeechEngine

FULL = 1.0
PATIENCE_S = 2.0
"""How long to wait for an engine that is being started or connected to."""


class EngineLoad:
    """The share of the engine's rows that speak, 0 to 1: `AgentServer(load_fnc=EngineLoad())`.

    It is 1 while somebody waits for a row, and while there is no engine to be reached, so that jobs go elsewhere. All
    that the engine speaks counts, also for other workers. Where jobs share a server, this starts it when the worker
    starts, and starts it again if it is gone. Blocks while it asks; LiveKit calls it in a thread.

    Args:
        engine: an engine of this process.
        base_url: a server's URL, else `CSM_BASE_URL`.
        api_key: one of the server's keys, else `CSM_API_KEY`.
        model: what the jobs' own engine speaks with where there is no URL, else `CSM_MODEL`.
    """

    def __init__(
        self,
        engine: SpeechEngine | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        model: str | None = None,
    ) -> None:
        self._given = (engine, base_url, api_key, model)
        self._backend: Backend | None = None

    def __call__(self, worker: object | None = None) -> float:
        """Return the load.

        Args:
            worker: the worker that asks; it knows whether its jobs are processes, LiveKit's default, or threads.
        """
        if self._backend is None:
            self._backend = self._choose(getattr(worker, "_job_executor_type", JobExecutorType.PROCESS))
        try:
            engine = self._backend.begin().result(PATIENCE_S)
            if not getattr(engine, "is_connected", True):
                raise ConnectionError
            stats = engine.stats()
        except Exception as error:
            logger.debug("the engine's load is not known: %s", type(error).__name__)
            self._backend.revive()
            return FULL
        rows = stats.live_rows + stats.free_rows
        return FULL if stats.queued or not rows else float(stats.live_rows / rows)

    def _choose(self, jobs: JobExecutorType) -> Backend:
        engine, base_url, api_key, model = self._given
        backend = choose_backend(engine, base_url=base_url, api_key=api_key, model=model)
        if isinstance(backend, SharedEngine) and jobs is JobExecutorType.PROCESS:
            return SidecarBackend(backend.model)
        return backend
