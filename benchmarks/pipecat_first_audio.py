"""How long is the wait from the LLM's first token to the first audio frame, in a Pipecat pipeline?

Two pipelines on one engine, in turns: one's conversation is new, the other's holds 1,500 positions. The LLM writes its
tokens without a pause, so the wait is the service's own. Each reply is interrupted after its first frame, so that the
contexts stay as they are.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMRunFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from benchmarks.report import percentiles, report
from csm_plugin.engine import Engine
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.settings import FRAME_S, SAMPLE_RATE_HZ

TOKENS = re.findall(r"\s*\S+", "Well, that is a good question, and here is my answer.")
POSITIONS = 1_500
ROUNDS = 40
WARM_UP = 5
REST_S = 0.4
"""Between two replies: an interruption is settled, and the caches are filled again."""


async def main() -> None:
    logger.remove()
    raw: dict[str, list[float]] = {"empty": [], "full": []}
    with tempfile.TemporaryDirectory() as folder:
        write_random_checkpoint(Path(folder), "small")
        with Engine.load(folder) as engine:
            async with AsyncExitStack() as stack:
                agents = {name: await stack.enter_async_context(Agent(engine)) for name in raw}
                await agents["full"].fill()
                for number in range(WARM_UP + ROUNDS):
                    for name, agent in agents.items():
                        wait_ms = await agent.first_audio_ms()
                        if number >= WARM_UP:
                            raw[name].append(round(wait_ms, 3))
                        await asyncio.sleep(REST_S)
                held = {name: agent.frames_held for name, agent in agents.items()}
    of = {name: percentiles(values) for name, values in raw.items()}
    figures = {
        "ms from the LLM's first token to the first audio frame": of,
        f"with {POSITIONS} positions over empty, p50": round(of["full"]["p50"] / of["empty"]["p50"], 2),
        "frames in the context at the end": held,
    }
    report("pipecat_first_audio", __doc__.splitlines()[0], f"{WARM_UP} replies each", figures, dict(raw))


class Brain(FrameProcessor):
    """Answers at once, and notes when the first token goes out."""

    first_token_s = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        self.first_token_s = time.perf_counter()
        for token in TOKENS:
            await self.push_frame(LLMTextFrame(token))
        await self.push_frame(LLMFullResponseEndFrame())


class Ear(FrameProcessor):
    """Notes when the first audio frame of a reply arrives."""

    heard: asyncio.Future[float] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame) and self.heard is not None and not self.heard.done():
            self.heard.set_result(time.perf_counter())
        await self.push_frame(frame, direction)


class Agent:
    """A pipeline that runs: aggregators, what answers, the service."""

    def __init__(self, engine: Engine) -> None:
        self._service, self._brain, self._ear = CSMTTSService(engine=engine), Brain(), Ear()
        user, assistant = LLMContextAggregatorPair(LLMContext())
        self._worker = PipelineWorker(
            Pipeline([user, self._brain, self._service, self._ear, assistant]),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
        )

    @property
    def frames_held(self) -> int:
        """How many frames of sound the conversation holds."""
        return sum(len(segment.codes) for segment in self._service.conversation.segments)

    async def __aenter__(self) -> Agent:
        started = asyncio.Event()

        @self._worker.event_handler("on_pipeline_started")
        async def on_started(_worker: PipelineWorker, _frame: Frame) -> None:
            started.set()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self._worker)
        self._run = asyncio.create_task(runner.run())
        await started.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._worker.cancel()
        await self._run

    async def fill(self) -> None:
        """Let the conversation listen until it holds 1,500 positions."""
        left_frames = POSITIONS
        while left_frames > 0:
            frames = min(left_frames, 1_000)
            sound = np.random.default_rng(left_frames).normal(0, 0.1, round(frames * FRAME_S * SAMPLE_RATE_HZ))
            await self._service.conversation.listen("", np.clip(sound, -1, 1).astype(np.float32))
            left_frames -= frames

    async def first_audio_ms(self) -> float:
        """Let the LLM answer, and interrupt it at the first sound."""
        self._ear.heard = asyncio.get_running_loop().create_future()
        await self._worker.queue_frame(LLMRunFrame())
        heard_s = await self._ear.heard
        await self._worker.queue_frame(InterruptionFrame())
        return (heard_s - self._brain.first_token_s) * 1000


if __name__ == "__main__":
    asyncio.run(main())
