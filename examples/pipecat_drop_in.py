"""CSM in the place of another text-to-speech service: the pipeline around it stays as it is.

    python examples/pipecat_drop_in.py openai before.wav
    python examples/pipecat_drop_in.py csm after.wav [MODEL]

`openai` asks OpenAI's service, or another that speaks its protocol: OPENAI_API_KEY, OPENAI_BASE_URL.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys

os.environ.setdefault("LOGURU_LEVEL", "WARNING")  # Pipecat logs every step

import numpy as np
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner

from csm_plugin.audio import WavWriter
from csm_plugin.pipecat import CSMTTSService, load_shared_engine

REPLY = "Of course. I will meet you at the station at noon."


class WavFile(FrameProcessor):
    """Writes the speech that passes to a file; in an agent `transport.output()` stands here."""

    def __init__(self, wav: WavWriter) -> None:
        super().__init__()
        self._wav = wav

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self._wav.write(np.frombuffer(frame.audio, np.int16))
        await self.push_frame(frame, direction)


async def make_tts(name: str, model: str) -> TTSService:
    if name == "openai":
        return OpenAITTSService(settings=OpenAITTSService.Settings(voice="alloy"))
    engine = await load_shared_engine(model)  # once a process, before the pipelines
    return CSMTTSService(engine=engine, max_ahead_s=math.inf)  # nobody listens to a file, so as fast as it can


async def main(name: str = "csm", path: str = "reply.wav", model: str = "csm-tiny") -> None:
    context = LLMContext()
    _, assistant = LLMContextAggregatorPair(context)
    with WavWriter(path, 24_000) as wav:
        worker = PipelineWorker(Pipeline([await make_tts(name, model), WavFile(wav), assistant]))
        tokens = [LLMTextFrame(word + " ") for word in REPLY.split()]
        await worker.queue_frames([LLMFullResponseStartFrame(), *tokens, LLMFullResponseEndFrame(), EndFrame()])
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()
    print(f"{path}: {wav.seconds:.1f} s of speech; the LLM's context:")
    print(context.get_messages())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
