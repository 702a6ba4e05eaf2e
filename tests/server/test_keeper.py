"""An engine that dies, hangs or runs out of memory is noticed, told, and loaded again; but not for ever."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from csm_plugin.engine import Engine
from csm_plugin.errors import CheckpointNotFound
from csm_plugin.server.shared import supervisor
from csm_plugin.server.shared.supervisor import is_alive
from tests.server.running import RunningServer, running, settings, wait_until

LONG = {"input": "A long text that goes on for a while. " * 20, "response_format": "pcm"}


@pytest.fixture(autouse=True)
def quiet_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tiny_checkpoint: Path, clock: Clock) -> Iterator[RunningServer]:
    with running(tiny_checkpoint, hang_s=1.0, max_restarts=3) as server:
        server.service.keeper._clock = clock
        yield server


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """The engine, each time that it is looked at."""
    looks: list[Engine] = []
    monkeypatch.setattr(supervisor, "is_alive", lambda engine: looks.append(engine) or is_alive(engine))
    return looks


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


def read_to_the_end(server: RunningServer) -> None:
    """Read a long response until it ends or is cut off."""
    with (
        contextlib.suppress(httpx.HTTPError),
        httpx.stream("POST", f"{server.url}/v1/audio/speech", json=LONG, timeout=60) as answer,
    ):
        for _ in answer.iter_bytes():
            pass


def streams(server: RunningServer, count: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=read_to_the_end, args=(server,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def have_ended(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(30)
    return not any(thread.is_alive() for thread in threads)


def test_a_crash_ends_every_stream_and_the_engine_is_loaded_again(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(server, "/ready") == 200
    first, load, go_on = server.engine, server.service.keeper._load, threading.Event()
    monkeypatch.setattr(server.service.keeper, "_load", lambda: (go_on.wait(), load())[1])
    crashed: list[float] = []
    break_rounds(first, lambda: (crashed.append(time.monotonic()), crash()))
    threads = streams(server, 4)
    wait_until(lambda: status(server, "/ready") == 503)
    assert status(server, "/live") == 200
    assert have_ended(threads)  # while there is no engine yet
    ended_s = time.monotonic() - crashed[0]
    go_on.set()
    again_s = wait_until(lambda: server.service.keeper.is_ready)
    print(f"streams ended after {ended_s:.2f} s, ready again {again_s:.2f} s after it was to be loaded")
    assert server.engine is not first
    assert server.speak(response_format="pcm").status_code == 200
    assert "csm_engine_restarts 1.0" in httpx.get(f"{server.url}/metrics").text


def test_a_hang_is_noticed_and_ends_every_stream(server: RunningServer, clock: Clock, looks: list[Engine]) -> None:
    hung, go_on = threading.Event(), threading.Event()
    break_rounds(server.engine, lambda: (hung.set(), go_on.wait(60)))
    threads = streams(server, 2)
    assert hung.wait(60)
    looked = len(looks)
    wait_until(lambda: len(looks) > looked + 1)
    clock.now_s += 1.1
    over = time.monotonic()
    assert have_ended(threads)  # while it still hangs
    print(f"streams ended {time.monotonic() - over:.2f} s after the limit of 1 s for a hang was over")
    wait_until(lambda: server.service.keeper.is_ready)
    assert server.service.keeper.restarts == 1
    assert server.speak(response_format="pcm").status_code == 200
    assert not go_on.is_set()
    go_on.set()


def test_an_engine_that_only_waits_does_not_hang(server: RunningServer, clock: Clock, looks: list[Engine]) -> None:
    def let_time_pass(rounds: int) -> None:
        for _ in range(3):
            clock.now_s += 0.8
            looked, gone = len(looks) + 2, server.engine.rounds + rounds
            wait_until(lambda looked=looked, gone=gone: len(looks) > looked and server.engine.rounds >= gone)

    with server.engine.conversation() as talk:
        let_time_pass(rounds=1)  # which it goes because it is looked at
        assert server.service.keeper.restarts == 0
        assert len(list(talk.speak("Still here."))) > 0
    let_time_pass(rounds=0)
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
