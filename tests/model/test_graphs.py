"""Steps as CUDA graphs give what plain steps give, whatever happens while they are captured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from loguru import logger

from csm_plugin.model.csm import CSM
from csm_plugin.model.graphs import FrameGraphs
from csm_plugin.settings import Sampling
from tests.model.helpers import CPU, MAX_FRAMES, Speaker, speak, text_positions, tokens_of
from tests.model.stand_in_recorder import StandInRecorder

FRAMES = 8


@pytest.fixture
def warnings() -> Iterator[list[Any]]:
    """The warnings that are logged, as records."""
    kept: list[Any] = []
    sink = logger.add(lambda message: kept.append(message.record), level="WARNING")
    yield kept
    logger.remove(sink)


def graphs_of(model: CSM, recorder: StandInRecorder) -> FrameGraphs:
    graphs = FrameGraphs(model)
    graphs._recorder = recorder  # type: ignore[assignment]
    return graphs


def spoken(model: CSM, folder: Path, graphs: FrameGraphs, row: int = 0, top_k: int = 50) -> torch.Tensor:
    """Speak in one row by graphs; codes [FRAMES, codebooks]."""
    context = text_positions(model, tokens_of(folder))
    sampling = Sampling(temperature=0 if top_k == 1 else None, top_k=top_k)
    model.prefill(row, 0, context[:-1])
    model.begin(row, len(context) - 1, context[-1:], sampling, 3, MAX_FRAMES)
    return torch.stack([graphs.step([row], top_k).codes[0].clone() for _ in range(FRAMES)])


def expected(model: CSM, folder: Path, top_k: int = 50) -> torch.Tensor:
    sampling = Sampling(temperature=0 if top_k == 1 else None, top_k=top_k)
    return speak(Speaker.begin(model, 0, text_positions(model, tokens_of(folder)), sampling, 3), FRAMES, top_k)


@pytest.mark.parametrize("top_k", [1, 50, 200])
def test_replays_give_the_codes_of_exact_steps(model: CSM, folder: Path, top_k: int) -> None:
    recorder = StandInRecorder()
    assert torch.equal(spoken(model, folder, graphs_of(model, recorder), top_k=top_k), expected(model, folder, top_k))
    assert [graph.replays for graph in recorder.graphs] == [FRAMES]


def test_a_capture_that_fails_in_the_first_utterance_changes_nothing_but_speed_and_is_not_tried_again(
    model: CSM, folder: Path, warnings: list[Any]
) -> None:
    recorder = StandInRecorder(fails=1)
    graphs = graphs_of(model, recorder)
    first, second = spoken(model, folder, graphs), spoken(model, folder, graphs)
    assert torch.equal(first, expected(model, folder)) and torch.equal(second, first)
    assert len({tuple(codes) for codes in second.tolist()}) > 1, "one frame is repeated"
    assert recorder.tried == 1 and graphs.graphs == 0
    (warning,) = warnings
    assert "will run without one" in warning["message"]
    told = warning["extra"]
    assert (
        told["rows"] == 1 and told["top_k"] == 64 and told["error"].startswith("OutOfMemoryError: CUDA out of memory")
    )
    assert "\n" not in told["error"]


def test_another_size_and_another_top_k_have_graphs_after_one_failed(model: CSM, folder: Path) -> None:
    graphs = graphs_of(model, StandInRecorder(fails=1))
    spoken(model, folder, graphs)
    spoken(model, folder, graphs, row=1)
    spoken(model, folder, graphs, top_k=1)
    assert graphs.graphs == 2


def test_a_capture_in_the_middle_of_speech_disturbs_none_who_speaks(model: CSM, folder: Path) -> None:
    alone = expected(model, folder)
    for fails in (0, 5):
        graphs = graphs_of(model, StandInRecorder(fails=fails))
        context = text_positions(model, tokens_of(folder))
        for row in (0, 1):
            model.prefill(row, 0, context[:-1])
            model.begin(row, len(context) - 1, context[-1:], Sampling(top_k=50), 3, MAX_FRAMES)
        told = [graphs.step(rows, 50).codes[0].clone() for rows in [[0]] * 4 + [[0, 1]] * 4]
        assert torch.equal(torch.stack(told), alone), "row 0 speaks on while the graph for two rows is captured"


@pytest.mark.parametrize(
    ("rows", "sizes"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8]), (32, [1, 2, 4, 8, 16, 32])]
)
def test_all_sizes_are_captured_beforehand_the_largest_first(folder: Path, rows: int, sizes: list[int]) -> None:
    model = CSM(folder, device=CPU, dtype=torch.float32, rows=rows)
    recorder = StandInRecorder()
    graphs = graphs_of(model, recorder)
    assert graphs.sizes == sizes
    graphs.prepare([50, 1, 64])
    covered = [(len(graph.place.codes), graph.replays) for graph in recorder.graphs]
    assert covered == [(size, 0) for size in reversed(sizes) for _ in range(2)]
    spoken(model, folder, graphs, row=rows - 1)
    assert recorder.tried == 2 * len(sizes), "nothing more is captured while it speaks"


def test_without_graphs_nothing_is_captured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = CSM(folder, device=CPU, dtype=torch.float32, rows=2)
    monkeypatch.setattr(model, "device", torch.device("meta"))
    assert FrameGraphs(model)._recorder is None
    monkeypatch.setattr(torch, "zeros", lambda *size, **_: torch.empty(*size))
    monkeypatch.setattr(model, "device", torch.device("cuda:0"))
    assert FrameGraphs(model)._recorder is not None
    assert FrameGraphs(model, graphs=False)._recorder is None
