"""A GPU is ready only when it is warm: shown with stand-ins for its graphs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from csm_plugin.engine import Engine, engine, scheduler
from csm_plugin.engine.scheduler import Scheduler
from csm_plugin.engine.stepper import Stepper
from csm_plugin.errors import GenerationError, SettingsError
from csm_plugin.model.csm import CSM
from csm_plugin.settings import Sampling
from tests.engine.helpers import GREEDY, TWENTY_FRAMES, spoken
from tests.model.stand_in_recorder import StandInRecorder


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> StandInRecorder:
    """Every engine steps as on a GPU, and captures its graphs with this."""
    recorder = StandInRecorder()

    def stepper(model: CSM, *, fixed_shapes: bool, graphs: bool) -> Stepper:
        made = Stepper(model, fixed_shapes=True, graphs=graphs)
        if graphs:
            made._graphs._recorder = recorder  # type: ignore[union-attr, assignment]
        return made

    monkeypatch.setattr(scheduler, "Stepper", stepper)
    return recorder


def test_a_gpu_has_all_graphs_of_the_checkpoints_sampling_before_the_first_caller_comes(
    tiny_checkpoint: Path, recorder: StandInRecorder
) -> None:
    with Engine.load(tiny_checkpoint, max_conversations=6) as engine:
        assert [len(graph.place.codes) for graph in recorder.graphs] == [6, 6, 4, 4, 2, 2, 1, 1]
        assert engine.stats().frames_stepped == 0
        said = [spoken(engine.conversation(), "Hello.", sampling) for sampling in (GREEDY, TWENTY_FRAMES)]
        assert recorder.tried == 8, "nothing was captured while somebody waited"
    with Engine.load(tiny_checkpoint, graphs=False) as engine:
        assert recorder.tried == 8
        again = [spoken(engine.conversation(), "Hello.", sampling) for sampling in (GREEDY, TWENTY_FRAMES)]
    assert all(map(np.array_equal, said, again))


def test_an_unusual_top_k_is_captured_when_it_comes(tiny_checkpoint: Path, recorder: StandInRecorder) -> None:
    with Engine.load(tiny_checkpoint, max_conversations=1) as engine:
        before = recorder.tried
        spoken(engine.conversation(), "Hello.", Sampling(top_k=200, max_seconds=0.8))
        assert recorder.tried == before + 1


def test_loading_waits_until_the_device_is_warm(
    tiny_checkpoint: Path, recorder: StandInRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    captures, goes_on, loaded = threading.Event(), threading.Event(), threading.Event()
    record = recorder.record

    def slow(*work: Any) -> Any:
        captures.set()
        assert goes_on.wait(30)
        return record(*work)

    monkeypatch.setattr(recorder, "record", slow)

    def load() -> None:
        with Engine.load(tiny_checkpoint, max_conversations=1):
            loaded.set()

    thread = threading.Thread(target=load)
    thread.start()
    assert captures.wait(30)
    assert not loaded.is_set()
    goes_on.set()
    assert loaded.wait(30)
    thread.join(30)


def test_a_device_that_fails_before_it_is_ready_fails_the_loading_in_one_line(
    tiny_checkpoint: Path, recorder: StandInRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory (made up)\nmore of it")

    monkeypatch.setattr(CSM, "prefill", fail)
    with pytest.raises(
        GenerationError, match=r"failed on cpu before it was ready \(OutOfMemoryError.*graphs=False"
    ) as got:
        Engine.load(tiny_checkpoint)
    assert isinstance(got.value.__cause__, torch.OutOfMemoryError) and "\n" not in str(got.value)
    assert not [thread for thread in threading.enumerate() if thread.name == f"csm-device-{tiny_checkpoint.name}"]


def test_graphs_that_cannot_be_captured_keep_nobody_from_speaking(
    tiny_checkpoint: Path, recorder: StandInRecorder
) -> None:
    recorder.fails = 100
    with Engine.load(tiny_checkpoint, max_conversations=2) as engine:
        slow = spoken(engine.conversation(), "Hello.", TWENTY_FRAMES)
        assert recorder.tried == 4 and not recorder.graphs
    recorder.fails = 0
    with Engine.load(tiny_checkpoint, max_conversations=2) as engine:
        assert np.array_equal(spoken(engine.conversation(), "Hello.", TWENTY_FRAMES), slow)


def test_a_cpu_takes_no_step_before_the_first_caller_comes(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CSM, "prefill", lambda *_: pytest.fail("nothing is to be warmed up"))
    monkeypatch.setattr(CSM, "step", lambda *_: pytest.fail("nothing is to be warmed up"))
    Engine.load(tiny_checkpoint).close()


@pytest.mark.parametrize("graphs", [1, None, "no"])
def test_the_switch_of_graphs_is_true_or_false(tiny_checkpoint: Path, graphs: Any) -> None:
    with pytest.raises(SettingsError, match="it must be True or False"):
        Engine.load(tiny_checkpoint, graphs=graphs)


def test_the_device_thread_has_a_stream_of_its_own_with_priority(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = CSM(tiny_checkpoint, device=torch.device("cpu"), dtype=torch.float32, rows=1)
    work = Scheduler(model, 1)
    model.device = torch.device("cuda:1")
    calls: list[tuple[str, Any]] = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: calls.append(("is", device)))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append(("waits for", device)))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device, priority: (device, priority))
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: calls.append(("works on", stream)))
    work._settle_on_device()
    gpu = torch.device("cuda:1")
    assert calls == [("is", gpu), ("waits for", gpu), ("works on", (gpu, -1))]


def test_a_model_goes_to_the_gpu_by_its_number(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []

    def load(folder: Path, *, device: torch.device, **_: object) -> CSM:
        asked.append(device)
        raise SettingsError("far enough")

    monkeypatch.setattr(engine, "resolve_device", lambda name: torch.device("cuda", 1))
    monkeypatch.setattr(engine, "CSM", load)
    with pytest.raises(SettingsError, match="far enough"):
        Engine.load(tiny_checkpoint, device="cuda", dtype="float16")
    assert asked == [torch.device("cuda:1")]
