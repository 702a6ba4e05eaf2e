"""One engine per model and process, for services that name a model."""

from __future__ import annotations

import asyncio
import atexit
import threading
from concurrent.futures import Future
from pathlib import Path

from csm_plugin.interface import SpeechEngine

_lock = threading.Lock()
_engines: dict[str, Future[SpeechEngine]] = {}


def shared_engine(model: str | Path) -> Future[SpeechEngine]:
    """Start loading `model` in a thread, unless it is loading or loaded already; never blocks.

    The engine lives until the process ends. A load that failed is tried again by the next call.

    Args:
        model: bundled name, folder, or hub id, as for `Engine.load`.

    Returns:
        The engine to be. May be called from any thread.
    """
    key = str(model)
    with _lock:
        known = _engines.get(key)
        if known is not None and not (known.done() and known.exception() is not None):
            return known
        future: Future[SpeechEngine] = Future()
        future.set_running_or_notify_cancel()
        _engines[key] = future
    threading.Thread(target=_load, args=(model, future), name=f"csm-load-{key}", daemon=True).start()
    return future


async def load_shared_engine(model: str | Path) -> SpeechEngine:
    """The process's engine for `model`, loaded if need be without blocking the loop.

    Await it before a pipeline starts, so that nobody waits for weights when a session begins. Cancelling the wait
    doesn't stop the load.

    Args:
        model: bundled name, folder, or hub id, as for `Engine.load`.

    Raises:
        CheckpointError: the model cannot be loaded.
    """
    return await asyncio.wrap_future(shared_engine(model))


def _load(model: str | Path, future: Future[SpeechEngine]) -> None:
    try:
        from csm_plugin.engine import Engine

        engine = Engine.load(model)
        atexit.register(engine.close)
        future.set_result(engine)
    except BaseException as error:
        future.set_exception(error)
