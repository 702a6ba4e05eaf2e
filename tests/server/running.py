"""A real server in a thread, on a free port, and short forms to talk to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from csm_plugin.engine import Engine
from csm_plugin.server.serving import Serving, make_server
from csm_plugin.server.shared.connections import listen
from csm_plugin.server.shared.service import Service
from csm_plugin.server.shared.settings import ServerSettings

PATIENCE_S = 60.0


def settings(**given: Any) -> ServerSettings:
    """Settings for a test: a free port, and nothing from the environment that is not asked for."""
    return ServerSettings(**({"port": 0, "max_conversations": 4, "device": "cpu"} | given))


class RunningServer:
    """A server in a thread.

    Args:
        given: its settings.
        load: loads the engine.
        loop: the kind of event loop, as uvicorn calls it.
    """

    def __init__(self, given: ServerSettings, load: Callable[[], Engine], *, loop: str = "auto") -> None:
        self.settings = given
        self.server: Serving
        self.server, app = make_server(given, load)
        self.server.config.loop = loop
        self.service: Service = app.state.service
        self._socket = listen(given)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}/v1/stream"
        self._thread = threading.Thread(target=self.server.run, args=([self._socket],), daemon=True)

    @property
    def engine(self) -> Engine:
        """Its engine."""
        return self.service.keeper.engine

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.service.keeper.is_ready and self.server.started)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop without draining: every socket closes."""
        self.server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the server did not end"

    def speak(self, **order: Any) -> httpx.Response:
        """Ask for speech and wait for all of it."""
        return httpx.post(f"{self.url}/v1/audio/speech", json={"input": "Hello.", "seed": 1} | order, timeout=60)


@contextmanager
def running(checkpoint: Path, *, loop: str = "auto", **given: Any) -> Iterator[RunningServer]:
    """Run a server with an engine of its own."""
    chosen = settings(**given)

    def load() -> Engine:
        return Engine.load(
            checkpoint, device="cpu", max_conversations=chosen.max_conversations, max_queue=chosen.max_queue
        )

    with RunningServer(chosen, load, loop=loop) as server:
        yield server


def wait_until(holds: Callable[[], object], patience_s: float = PATIENCE_S) -> float:
    """Wait until something holds; return how long that took, in seconds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < patience_s, "did not come true in time"
        time.sleep(0.002)
    return time.monotonic() - began


class LoopClock:
    """The clock of a server's event loop, which stands still until it is told to go on: no limit is over before."""

    def __init__(self, server: RunningServer) -> None:
        loop = server.server._loop
        assert loop is not None
        self._loop = loop
        self._now_s = loop.time()
        loop.time = lambda: self._now_s  # type: ignore[method-assign]

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds
        self._loop.call_soon_threadsafe(lambda: None)

    def let_go(self) -> None:
        """Let it go by itself again."""
        self._loop.time = time.monotonic  # type: ignore[method-assign]
        self._loop.call_soon_threadsafe(lambda: None)


class Paced:
    """Lets an engine make no more than a frame every `frame_s`, and notes when each was made."""

    def __init__(self, engine: Engine, frame_s: float = 0.08) -> None:
        self._stepper = engine._scheduler.live_batch.stepper
        self._launch = self._stepper.launch
        self._frame_s = frame_s
        self._next_s = 0.0
        self.made_s: list[float] = []
        """When each step's frames were made, on the clock of `time.perf_counter`."""
        self._stepper.launch = self._launch_paced  # type: ignore[method-assign]

    def stop(self) -> None:
        """Let the engine run at its own pace again."""
        self._stepper.launch = self._launch  # type: ignore[method-assign]

    def _launch_paced(self, rows: list[int], lengths: list[int], ranks: int) -> Any:
        pending = self._launch(rows, lengths, ranks)
        time.sleep(max(0.0, self._next_s - time.perf_counter()))
        self.made_s.append(time.perf_counter())
        self._next_s = self.made_s[-1] + self._frame_s
        return pending


class Stepped:
    """Lets an engine make only as many frames as it is allowed to: what comes has come of those."""

    def __init__(self, engine: Engine) -> None:
        self._stepper = engine._scheduler.live_batch.stepper
        self._launch = self._stepper.launch
        self._allowed = threading.Semaphore(0)
        self.made = 0
        """How many it has made."""
        self._stepper.launch = self._launch_allowed  # type: ignore[method-assign]

    def allow(self, frames: int) -> None:
        """Let it make some more."""
        self._allowed.release(frames)

    def stop(self) -> None:
        """Let it make whatever it likes."""
        self._stepper.launch = self._launch  # type: ignore[method-assign]
        self._allowed.release()

    def _launch_allowed(self, rows: list[int], lengths: list[int], ranks: int) -> Any:
        self._allowed.acquire()
        self.made += 1
        return self._launch(rows, lengths, ranks)


def listening_port() -> int:
    """A port on which nobody listens yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
