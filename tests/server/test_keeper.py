"""An engine that dies, hangs or runs out of memory is noticed, told, and loaded again; but not for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from csm_plugin.engine import Engine
from csm_plugin.errors import CheckpointNotFound
from tests.server.running import RunningServer, running, settings, wait_until

LONG = {"input": "A long text that goes on for a while. " * 20, "response_format": "pcm"}


@pytest.fixture(autouse=True)
def quiet_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)


@pytest.fixture
def server(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint, hang_s=1.0, max_restarts=3) as server:
        yield server


def status(server: RunningServer, path: str) -> int:
    return httpx.get(server.url + path).status_code


def break_rounds(engine: Engine, act: Callable[[], object], after: int = 10) -> None:
    """Let an engine's device thread do something instead of its next round, after so many frames."""
    scheduler = engine._scheduler
    work = scheduler._round
    begin = engine.stats().frames_stepped

    def broken(sessions: Any) -> bool:
        if engine.stats().frames_stepped - begin >= after:
            act()
        return work(sessions)

    scheduler._round = broken  # type: ignore[method-assign]
    scheduler.registry.wake()


def crash() -> None:
    raise SystemError("the driver is gone")


def read_to_the_end(server: RunningServer, told: list[float]) -> None:
    """Read a long response until it ends or is cut off, and note when."""
    try:
        with httpx.stream("POST", f"{server.url}/v1/audio/speech", json=LONG, timeout=60) as answer:
            for _ in answer.iter_bytes():
                pass
    except httpx.HTTPError:
        pass
    told.append(time.monotonic())


def streams(server: RunningServer, count: int) -> tuple[list[threading.Thread], list[float]]:
    told: list[float] = []
    threads = [threading.Thread(target=read_to_the_end, args=(server, told)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, told


def test_a_crash_ends_every_stream_and_the_engine_is_loaded_again(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(server, "/ready") == 200
    crashed: list[float] = []
    first, load, seen = server.engine, server.service.keeper._load, threading.Event()
    monkeypatch.setattr(server.service.keeper, "_load", lambda: (seen.wait(30), load())[1])
    break_rounds(first, lambda: (crashed.append(time.monotonic()), crash()))
    threads, told = streams(server, 4)
    wait_until(lambda: crashed)
    wait_until(lambda: status(server, "/ready") == 503)
    assert status(server, "/live") == 200
    seen.set()
    for thread in threads:
        thread.join(30)
    wait_until(lambda: server.service.keeper.is_ready)
    again_s = time.monotonic() - crashed[0]
    ended_s = max(told) - crashed[0]
    print(f"streams ended after {ended_s:.2f} s, ready again after {again_s:.2f} s")
    assert ended_s < 1
    assert again_s < 5 + 5
    assert server.engine is not first
    assert server.speak(response_format="pcm").status_code == 200
    assert "csm_engine_restarts 1.0" in httpx.get(f"{server.url}/metrics").text


def test_a_hang_is_noticed_and_ends_every_stream(server: RunningServer) -> None:
    hung: list[float] = []
    go_on = threading.Event()
    break_rounds(server.engine, lambda: (hung.append(time.monotonic()), go_on.wait(30)))
    threads, told = streams(server, 2)
    wait_until(lambda: hung)
    for thread in threads:
        thread.join(30)
    wait_until(lambda: server.service.keeper.is_ready)
    print(f"streams ended {max(told) - hung[0]:.2f} s after it hung, with a limit of 1 s")
    assert max(told) - hung[0] < 1 + 1
    assert server.speak(response_format="pcm").status_code == 200
    go_on.set()


def test_an_engine_that_only_waits_does_not_hang(server: RunningServer) -> None:
    with server.engine.conversation() as talk:
        time.sleep(2.5)
        assert server.service.keeper.restarts == 0
        assert len(list(talk.speak("Still here."))) > 0
    time.sleep(1.5)
    assert server.service.keeper.restarts == 0


def test_a_fourth_death_ends_the_process_with_an_error(server: RunningServer) -> None:
    for death in range(1, 5):
        break_rounds(server.engine, crash, after=0)
        if death < 4:
            wait_until(lambda death=death: server.service.keeper.restarts == death and server.service.keeper.is_ready)
    wait_until(lambda: server.server.failed)
    server._thread.join(30)
    assert not server._thread.is_alive()


def test_a_watch_that_fails_ends_the_process_with_an_error(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine went on unwatched: had it died, nothing would have noticed."""

    watched, rounds = server.engine, Engine.rounds.fget

    def fail(engine: Engine) -> int:
        if engine is watched:
            raise TypeError("no rounds")
        assert rounds is not None
        return int(rounds(engine))

    monkeypatch.setattr(Engine, "rounds", property(fail))
    server._thread.join(30)
    assert not server._thread.is_alive()
    assert server.server.failed


def test_an_engine_that_cannot_be_loaded_ends_the_process_with_an_error() -> None:
    def load() -> Engine:
        raise CheckpointNotFound("there is no such model")

    server = RunningServer(settings(), load)
    server._thread.start()
    server._thread.join(30)
    assert not server._thread.is_alive()
    assert server.server.failed
    assert isinstance(server.service.keeper.error, CheckpointNotFound)


def test_until_the_engine_is_loaded_it_is_live_and_not_ready(tiny_checkpoint: Path) -> None:
    loading = threading.Event()

    def load() -> Engine:
        loading.wait(30)
        return Engine.load(tiny_checkpoint, device="cpu", max_conversations=1)

    server = RunningServer(settings(), load)
    server._thread.start()
    wait_until(lambda: server.server.started)
    assert (status(server, "/live"), status(server, "/ready")) == (200, 503)
    refused = server.speak()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "loading")
    assert int(refused.headers["Retry-After"]) >= 1
    loading.set()
    wait_until(lambda: status(server, "/ready") == 200)
    server.stop()


def test_the_third_want_of_memory_makes_it_not_ready(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    model = server.engine._model
    prefill = model.prefill

    def fail(row: int, start: int, inputs: Any) -> None:
        raise MemoryError("out of memory")

    monkeypatch.setattr(model, "prefill", fail)
    for expected in (200, 200, 503):
        answer = server.speak()
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "generation_failed")
        assert status(server, "/ready") == expected
    answer = server.speak()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "out_of_memory")
    monkeypatch.setattr(model, "prefill", prefill)
    server.service.keeper._memory_failures.clear()  # a minute later
    assert server.speak(response_format="pcm").status_code == 200
