"""A second voice when the first one's engine is gone: Pipecat's `ServiceSwitcher` around two services.

    python examples/pipecat_fallback.py [MODEL] [FALLBACK_MODEL] [FILE]

A closed engine makes its service unusable, and the switcher takes the next one for all that comes then; `Failover` does
so for a server out of reach, too. The sentence that failed is said again. The second service may be any of Pipecat's;
here it is CSM on another engine.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys

os.environ.setdefault("LOGURU_LEVEL", "WARNING")  # Pipecat logs every step

import numpy as np
from pipecat.frames.frames import ErrorFrame, Frame, TTSAudioRawFrame, TTSSpeakFrame, TTSStoppedFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyFailover
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from csm_plugin import Engine
from csm_plugin.audio import WavWriter
from csm_plugin.errors import EngineUnreachableError
from csm_plugin.pipecat import CSMTTSService


class Failover(ServiceSwitcherStrategyFailover):
    """Switches where a `RemoteEngine` has no server any more, too; `set_usable(True)` brings its service back."""

    async def handle_error(self, error: ErrorFrame) -> FrameProcessor | None:
        if isinstance(error.exception, EngineUnreachableError) and error.processor is not None:
            await error.processor.set_usable(False)
        return await super().handle_error(error)


class WavFile(FrameProcessor):
    """Writes the speech that passes to a file, and counts the utterances."""

    def __init__(self, wav: WavWriter) -> None:
        super().__init__()
        self._wav = wav
        self.ended = asyncio.Semaphore(0)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self._wav.write(np.frombuffer(frame.audio, np.int16))
        elif isinstance(frame, TTSStoppedFrame):
            self.ended.release()
        await self.push_frame(frame, direction)


async def main(model: str = "csm-tiny", fallback: str = "csm-tiny", path: str = "fallback.wav") -> None:
    with Engine.load(model) as engine, Engine.load(fallback) as spare, WavWriter(path, spare.sample_rate) as wav:
        first = CSMTTSService(engine=engine, max_ahead_s=math.inf, name="first")
        second = CSMTTSService(engine=spare, max_ahead_s=math.inf, name="second")
        switcher = ServiceSwitcher([first, second], strategy_type=Failover)
        speaker = WavFile(wav)
        worker = PipelineWorker(Pipeline([switcher, speaker]))
        asked = ""

        @first.event_handler("on_tts_request")
        async def note(_service: CSMTTSService, _context_id: str, text: str) -> None:
            nonlocal asked
            asked = text

        @switcher.strategy.event_handler("on_service_switched")
        async def switched(_strategy: Failover, service: FrameProcessor) -> None:
            print(f"{service.name} speaks from now on")
            await worker.queue_frame(TTSSpeakFrame(asked))

        async def conversation() -> None:
            await worker.queue_frame(TTSSpeakFrame("This comes from the first one."))
            await speaker.ended.acquire()
            engine.close()  # as after a fault that it doesn't recover from
            await worker.queue_frame(TTSSpeakFrame("And this is said in any case."))
            for _failed_and_said in range(2):
                await speaker.ended.acquire()
            await worker.queue_frame(TTSSpeakFrame("That was all."))
            await worker.stop_when_done()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await asyncio.gather(runner.run(), conversation())
        for service in (first, second):
            print(service.name, "said", [segment.text for segment in service.conversation.segments])
    print(f"{path}: {wav.seconds:.1f} s of speech")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
