"""Captures beside other threads and engines, and captures that fail: on stand-ins for CUDA's calls."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from csm_plugin.model import recorder as recorder_module
from csm_plugin.model.recorder import WARM_UPS, Recorder

GPU = torch.device("cuda:1")


class StandInStream:
    """A stream that remembers where it is and what it waited for."""

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        self.device = device
        self.priority = priority
        self.waited_for: list[StandInStream] = []

    def wait_stream(self, other: StandInStream) -> None:
        self.waited_for.append(other)


class StandInCuda:
    """What the recorder calls of `torch.cuda`; one current stream a thread, as there."""

    def __init__(self) -> None:
        self.thread = threading.local()
        self.default = StandInStream("default")
        self.captures: list[dict[str, Any]] = []
        self.capturing = 0
        self.synchronized = 0
        self.fails_at: str | None = None

    def current_stream(self, device: Any = None) -> StandInStream:
        return getattr(self.thread, "stream", self.default)

    def set_stream(self, stream: StandInStream) -> None:
        self.thread.stream = stream

    def synchronize(self, device: Any = None) -> None:
        self.synchronized += 1

    @contextlib.contextmanager
    def graph(
        self, graph: object, pool: Any = None, stream: Any = None, capture_error_mode: str = "global"
    ) -> Iterator[None]:
        """As torch's: an error in its end leaves the thread on the stream of the capture."""
        self.capturing += 1
        assert self.capturing == 1, "two captures at once"
        self.captures.append(
            {"pool": pool, "stream": stream, "mode": capture_error_mode, "collects": gc.isenabled(), "of": graph}
        )
        self.set_stream(stream)
        try:
            yield
            if self.fails_at == "end":
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        finally:
            self.capturing -= 1


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> StandInCuda:
    cuda = StandInCuda()
    for name in ("current_stream", "set_stream", "synchronize", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    monkeypatch.setattr(torch.cuda, "Stream", StandInStream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    return cuda


def test_work_is_recorded_after_its_warm_up_on_a_stream_of_its_own(cuda: StandInCuda) -> None:
    done: list[tuple[str, Any]] = []
    before = cuda.current_stream()
    recorder = Recorder(GPU)
    graph, results = recorder.record(
        lambda: done.append(("warm-up", cuda.current_stream())),
        lambda: done.append(("work", cuda.current_stream())) or 7,
    )
    (capture,) = cuda.captures
    assert results == 7 and capture["of"] is graph
    assert [what for what, _ in done] == ["warm-up"] * WARM_UPS + ["work"]
    assert {stream for _, stream in done} == {capture["stream"]}
    assert capture["stream"].device == GPU and capture["stream"].waited_for == [before]
    assert cuda.current_stream() is before


def test_other_threads_calls_do_not_break_a_capture(cuda: StandInCuda) -> None:
    Recorder(GPU).record(lambda: None, lambda: None)
    assert cuda.captures[0]["mode"] == "thread_local"


def test_graphs_of_an_engine_share_memory_and_those_of_two_engines_share_nothing(cuda: StandInCuda) -> None:
    one, other = Recorder(torch.device("cuda:0")), Recorder(GPU)
    for recorder in (one, one, other):
        recorder.record(lambda: None, lambda: None)
    first, second, third = cuda.captures
    assert first["pool"] is second["pool"] and first["stream"] is second["stream"]
    assert third["pool"] is not first["pool"] and third["stream"] is not first["stream"]
    assert (first["stream"].device, third["stream"].device) == (torch.device("cuda:0"), GPU)


class WatchedLock:
    """A lock that tells when two threads have asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self.two_asked = threading.Event()

    def __enter__(self) -> None:
        self._asked += 1
        if self._asked == 2:
            self.two_asked.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_two_engines_never_capture_at_the_same_time(cuda: StandInCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, inside, goes_on = WatchedLock(), threading.Event(), threading.Event()
    monkeypatch.setattr(recorder_module, "_one_at_a_time", lock)

    def slow() -> None:
        inside.set()
        assert goes_on.wait(10)

    first = threading.Thread(target=lambda: Recorder(GPU).record(lambda: None, slow))
    second = threading.Thread(target=lambda: Recorder(GPU).record(lambda: None, lambda: None))
    first.start()
    assert inside.wait(10)
    second.start()
    assert lock.two_asked.wait(10)
    assert len(cuda.captures) == 1, "the second waits"
    goes_on.set()
    first.join(10)
    second.join(10)
    assert len(cuda.captures) == 2


def test_garbage_is_collected_before_a_capture_and_not_within(
    cuda: StandInCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: collected.append(len(cuda.captures)))
    Recorder(GPU).record(lambda: None, lambda: None)
    assert collected == [0] and cuda.captures[0]["collects"] is False and gc.isenabled()


def test_who_has_garbage_collection_off_keeps_it_off(cuda: StandInCuda) -> None:
    gc.disable()
    try:
        Recorder(GPU).record(lambda: None, lambda: None)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("where", ["warm-up", "work", "end"])
def test_a_capture_that_fails_leaves_the_thread_on_its_stream_and_the_next_one_begins_anew(
    cuda: StandInCuda, where: str
) -> None:
    def fail() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory (made up)")

    before = StandInStream(GPU)
    cuda.set_stream(before)
    recorder = Recorder(GPU)
    cuda.fails_at = where
    with pytest.raises(RuntimeError):
        recorder.record(fail if where == "warm-up" else lambda: None, fail if where == "work" else lambda: None)
    assert cuda.current_stream() is before and gc.isenabled() and cuda.synchronized == 1
    cuda.fails_at = None
    recorder.record(lambda: None, lambda: None)
    if where != "warm-up":
        broken, sound = cuda.captures
        assert sound["stream"] is not broken["stream"] and sound["pool"] is not broken["pool"]
