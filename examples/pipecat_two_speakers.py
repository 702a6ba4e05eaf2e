"""Two speakers in one conversation: each hears what the other said, so that the lines fit to each other.

    python examples/pipecat_two_speakers.py [MODEL] [FILE]

One `CSMTTSService` speaks both: a change of `speaker` and `voice` takes effect with the next sentence.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys

os.environ.setdefault("LOGURU_LEVEL", "WARNING")  # Pipecat logs every step

import numpy as np
from pipecat.frames.frames import EndFrame, Frame, TTSAudioRawFrame, TTSSpeakFrame, TTSUpdateSettingsFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from csm_plugin import Engine
from csm_plugin.audio import WavWriter
from csm_plugin.pipecat import CSMTTSService

DIALOGUE = [
    (0, "Have you been to the sea this year?"),
    (1, "Not yet, we want to go in June."),
    (0, "Then come with us!"),
    (1, "I would love to."),
]


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


async def main(model: str = "csm-tiny", path: str = "dialogue.wav") -> None:
    with Engine.load(model) as engine, WavWriter(path, engine.sample_rate) as wav:
        voices = dict(zip((0, 1), engine.voices, strict=False))  # a model without voices has its own for each speaker
        tts = CSMTTSService(engine=engine, max_ahead_s=math.inf)
        worker = PipelineWorker(Pipeline([tts, WavFile(wav)]))
        for speaker, line in DIALOGUE:
            change = CSMTTSService.Settings(speaker=speaker, voice=voices.get(speaker))
            await worker.queue_frames([TTSUpdateSettingsFrame(delta=change), TTSSpeakFrame(line)])
        await worker.queue_frame(EndFrame())
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()
        for segment in tts.conversation.segments:
            print(f"speaker {segment.speaker}, {segment.seconds:.1f} s: {segment.text}")
    print(f"{path}: {wav.seconds:.1f} s of speech")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
