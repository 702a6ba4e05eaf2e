"""A real pipeline around the processors under test, with everything that passes written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    StartFrame,
    TTSAudioRawFrame,
)
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from tests.pipecat.virtual_time import LoopClock, VirtualTimeLoop

F = TypeVar("F", bound=Frame)
POLL_S = 0.002
PATIENCE_S = 60.0


class Recorder(FrameProcessor):
    """Passes every frame on, and keeps those of one direction."""

    def __init__(self, direction: FrameDirection) -> None:
        super().__init__(enable_direct_mode=True)
        self.frames: list[Frame] = []
        self._kept = direction

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is self._kept and not isinstance(frame, StartFrame):
            self.frames.append(frame)
        await self.push_frame(frame, direction)


@dataclass
class Session:
    """A running pipeline: what goes in, and what came out."""

    worker: PipelineWorker
    down: list[Frame]
    up: list[Frame]
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, *frames: Frame) -> None:
        """Put frames in at the beginning."""
        for frame in frames:
            await self.worker.queue_frame(frame)

    async def reply(self, text: str) -> None:
        """Put a whole LLM reply in, token by token."""
        await self.send(LLMFullResponseStartFrame(), *tokens(text), LLMFullResponseEndFrame())

    def of(self, kind: type[F]) -> list[F]:
        """What came out of one kind."""
        return [frame for frame in self.down if isinstance(frame, kind)]

    @property
    def errors(self) -> list[ErrorFrame]:
        """The errors that were reported."""
        return [frame for frame in self.up if isinstance(frame, ErrorFrame)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition."""
        await until(condition)


async def until(condition: Callable[[], object]) -> None:
    """Poll a condition; fail if it does not come true in time."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition never came true"
        await asyncio.sleep(POLL_S)


@asynccontextmanager
async def running(
    *processors: FrameProcessor, params: PipelineParams | None = None, observers: list[BaseObserver] | None = None
) -> AsyncIterator[Session]:
    """Run a pipeline; leaving ends it gracefully and waits until all that was queued is spoken."""
    top, bottom = Recorder(FrameDirection.UPSTREAM), Recorder(FrameDirection.DOWNSTREAM)
    virtual = isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
    worker = PipelineWorker(
        Pipeline([top, *processors, bottom]),
        params=params or PipelineParams(),
        cancel_on_idle_timeout=False,
        enable_rtvi=False,
        clock=LoopClock() if virtual else None,
        observers=observers,
    )
    session = Session(worker, bottom.frames, top.frames)

    @worker.event_handler("on_pipeline_started")
    async def on_started(_worker: PipelineWorker, _frame: Frame) -> None:
        session.started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(session.started.wait(), PATIENCE_S)
        yield session
        await worker.queue_frame(EndFrame())
        await asyncio.wait_for(run, PATIENCE_S)
    finally:
        if not run.done():
            await worker.cancel()
            await run


def tokens(text: str) -> list[LLMTextFrame]:
    """A text in pieces of a few characters, as an LLM streams it."""
    return [LLMTextFrame(text[start : start + 4]) for start in range(0, len(text), 4)]


def samples(frames: Sequence[Frame]) -> npt.NDArray[np.int16]:
    """The sound of all audio frames, int16 [samples]."""
    audio = [np.frombuffer(frame.audio, np.int16) for frame in frames if isinstance(frame, TTSAudioRawFrame)]
    return np.concatenate(audio) if audio else np.zeros(0, np.int16)
