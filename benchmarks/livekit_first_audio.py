"""How long is the wait from a reply's first text to its first audio frame, through LiveKit and through Pipecat?

One engine and one event loop for all, in turns: the engine by itself with the first clause, a LiveKit stream, a LiveKit
session with an LLM that answers at once, and a Pipecat pipeline. Each reply is stopped after its first frame.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from livekit.plugins import csm
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from benchmarks.report import percentiles, report
from csm_plugin.engine import Engine
from csm_plugin.livekit.testing import ScriptedLLM, clocked_session
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.settings import Sampling

CLAUSE = "Well, that is a good question,"
TEXT = f"{CLAUSE} and here is my answer."
ROUNDS = 40
WARM_UP = 5
REST_S = 0.1
PATH = Callable[[], Awaitable[float]]


async def main() -> None:
    logging.disable(logging.WARNING)
    logger.remove()
    raw: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_random_checkpoint(Path(folder), "small")
        with Engine.load(folder) as engine:
            async with AsyncExitStack() as stack:
                paths: dict[str, PATH] = {
                    "engine alone": lambda: engine_alone(engine),
                    "LiveKit stream": lambda: livekit_stream(csm.TTS(engine=engine)),
                    "LiveKit session": await stack.enter_async_context(livekit_session(engine)),
                    "Pipecat pipeline": await stack.enter_async_context(pipecat_pipeline(engine)),
                }
                for number in range(WARM_UP + ROUNDS):
                    for name, path in paths.items():
                        wait_ms = await path()
                        if number >= WARM_UP:
                            raw.setdefault(name, []).append(round(wait_ms, 3))
                        await asyncio.sleep(REST_S)
    figures = {"ms from the first text to the first audio frame": {name: percentiles(raw[name]) for name in raw}}
    report("livekit_first_audio", __doc__.splitlines()[0], f"{WARM_UP} replies each", figures, dict(raw))


async def engine_alone(engine: Engine) -> float:
    async with engine.conversation(sampling=Sampling()) as talk:
        began_s = time.perf_counter()
        await anext(aiter(talk.speak(CLAUSE)))
        return (time.perf_counter() - began_s) * 1000


async def livekit_stream(tts: csm.TTS) -> float:
    async with tts.stream() as stream:
        began_s = time.perf_counter()
        stream.push_text(TEXT)
        stream.end_input()
        await anext(stream)
        return (time.perf_counter() - began_s) * 1000


@asynccontextmanager
async def livekit_session(engine: Engine) -> AsyncIterator[PATH]:
    began_s = 0.0

    def answer(_context: object) -> str:
        nonlocal began_s
        began_s = time.perf_counter()
        return TEXT

    tts = csm.TTS(engine=engine)
    async with clocked_session(tts, ScriptedLLM(answer, token_s=0.0)) as run:
        tts.attach(run.session)

        async def first_frame() -> float:
            heard = asyncio.get_running_loop().create_future()
            run.output.once("playback_started", lambda _event: heard.set_result(time.perf_counter()))
            speech = run.session.generate_reply(user_input="?")
            wait_ms = (await heard - began_s) * 1000
            await run.session.interrupt()
            await speech
            return wait_ms

        yield first_frame


class Ear(FrameProcessor):
    """Notes when the first audio frame arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: asyncio.Future[float] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame) and self.heard is not None and not self.heard.done():
            self.heard.set_result(time.perf_counter())
        await self.push_frame(frame, direction)


@asynccontextmanager
async def pipecat_pipeline(engine: Engine) -> AsyncIterator[PATH]:
    ear, started = Ear(), asyncio.Event()
    worker = PipelineWorker(
        Pipeline([CSMTTSService(engine=engine), ear]), cancel_on_idle_timeout=False, enable_rtvi=False
    )

    @worker.event_handler("on_pipeline_started")
    async def on_started(_worker: PipelineWorker, _frame: Frame) -> None:
        started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    await started.wait()

    async def first_frame() -> float:
        ear.heard = asyncio.get_running_loop().create_future()
        began_s = time.perf_counter()
        await worker.queue_frames([LLMFullResponseStartFrame(), LLMTextFrame(TEXT), LLMFullResponseEndFrame()])
        wait_ms = (await ear.heard - began_s) * 1000
        await worker.queue_frame(InterruptionFrame())
        return wait_ms

    yield first_frame
    await worker.cancel()
    await run


if __name__ == "__main__":
    asyncio.run(main())
