"""Stands in for CUDA graphs on a CPU: what is recorded runs at each replay; the results lie where a graph has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from csm_plugin.model.csm import Frames


@dataclass
class StandInGraph:
    """Runs the work again and copies its results to the place of the first ones."""

    work: Callable[[], Frames]
    place: Frames
    replays: int = 0

    def replay(self) -> None:
        self.replays += 1
        made = self.work()
        with torch.inference_mode():
            for kept, new in ((self.place.codes, made.codes), (self.place.pcm, made.pcm)):
                kept.copy_(new)
            self.place.finite.copy_(made.finite)


class StandInRecorder:
    """Records as `Recorder` does.

    Args:
        fails: how many captures fail, as for want of memory.
    """

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails
        self.tried = 0
        self.graphs: list[StandInGraph] = []

    def record(self, warm_up: Callable[[], Frames], work: Callable[[], Frames]) -> tuple[StandInGraph, Frames]:
        self.tried += 1
        place = [warm_up() for _ in range(3)][-1]
        if self.tried <= self.fails:
            raise torch.OutOfMemoryError("CUDA out of memory (made up)\nmore of it")
        self.graphs.append(StandInGraph(work, place))
        return self.graphs[-1], place
