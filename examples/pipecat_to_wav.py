"""CSM in a Pipecat pipeline: what an LLM would stream goes in, a WAV file comes out.

    python examples/pipecat_to_wav.py [MODEL] [FILE]

In an agent, `CSMTTSService` stands at the same place, between the LLM and `transport.output()`.
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
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from csm_plugin import Engine
from csm_plugin.audio import WavWriter
from csm_plugin.pipecat import CSMTTSService

REPLY = "Well, this is a reply that comes in word by word. It is spoken while it is still being written."


class WavFile(FrameProcessor):
    """Writes the speech that passes to a file."""

    def __init__(self, wav: WavWriter) -> None:
        super().__init__()
        self._wav = wav

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self._wav.write(np.frombuffer(frame.audio, np.int16))
        await self.push_frame(frame, direction)


async def main(model: str = "csm-tiny", path: str = "reply.wav") -> None:
    with Engine.load(model) as engine, WavWriter(path, engine.sample_rate) as wav:
        tts = CSMTTSService(engine=engine, max_ahead_s=math.inf)  # nobody listens to a file, so as fast as it can
        worker = PipelineWorker(Pipeline([tts, WavFile(wav)]))
        tokens = [LLMTextFrame(word + " ") for word in REPLY.split()]
        await worker.queue_frames([LLMFullResponseStartFrame(), *tokens, LLMFullResponseEndFrame(), EndFrame()])
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()
    print(f"{path}: {wav.seconds:.1f} s of speech")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
