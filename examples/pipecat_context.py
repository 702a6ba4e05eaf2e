"""Context on and off, side by side: the same replies to the same questions, with the same seed.

    python examples/pipecat_context.py [MODEL] [FOLDER]

Writes `with_context.wav`, `without_context.wav`, and `context.png`, a picture of both: loudness and pitch.
The questions are spoken by the same model, in the place of a user. Needs matplotlib.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("LOGURU_LEVEL", "WARNING")  # Pipecat logs every step

import numpy as np
from matplotlib.figure import Figure
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMContextUserTurnFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from csm_plugin import Engine, Sampling
from csm_plugin.audio import write_wav
from csm_plugin.evaluation.pitch import pitch_hz
from csm_plugin.pipecat import CSMTTSService

TALK = [
    ("I passed the test!", "That is wonderful news."),
    ("But now I have to move away.", "Oh. When do you have to leave?"),
]


class Ear(FrameProcessor):
    """Keeps the speech that passes, and asks the next question when a reply ends."""

    def __init__(self, questions: list[list[Frame]]) -> None:
        super().__init__()
        self.heard: list[np.ndarray] = []
        self._questions = iter(questions)

    async def ask(self, worker: PipelineWorker) -> None:
        """Ask the next question, or end the conversation."""
        question = next(self._questions, None)
        await (worker.stop_when_done() if question is None else worker.queue_frames(question))

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.heard.append(np.frombuffer(frame.audio, np.int16))
        elif isinstance(frame, LLMFullResponseEndFrame):
            await self.ask(self.pipeline_worker)
        await self.push_frame(frame, direction)


def exchange(engine: Engine, question: str, reply: str) -> list[Frame]:
    """What passes the service: the user's speech, what was understood of it, and the LLM's reply."""
    spoken = engine.synthesize(question, speaker=1, sampling=Sampling(seed=2))
    sound = InputAudioRawFrame((spoken * 32_767).astype(np.int16).tobytes(), engine.sample_rate, 1)
    user = [VADUserStartedSpeakingFrame(), sound, VADUserStoppedSpeakingFrame(), LLMContextUserTurnFrame(question, "")]
    return [*user, LLMFullResponseStartFrame(), LLMTextFrame(reply), LLMFullResponseEndFrame()]


async def replies(engine: Engine, *, listen: bool) -> np.ndarray:
    """The replies, int16 [samples]; with `listen` the questions are their context."""
    settings = CSMTTSService.Settings(listen=listen, seed=1)
    ear = Ear([exchange(engine, question, reply) for question, reply in TALK])
    worker = PipelineWorker(Pipeline([CSMTTSService(engine=engine, settings=settings, max_ahead_s=math.inf), ear]))
    await ear.ask(worker)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
    return np.concatenate(ear.heard)


def draw(sounds: dict[str, np.ndarray], rate: int, path: Path) -> None:
    figure = Figure(figsize=(11, 2.4 * len(sounds)), layout="constrained")
    rows = figure.subplots(len(sounds), 1, sharex=True, sharey=True)
    for axis, (name, sound) in zip(rows, sounds.items(), strict=True):
        samples = sound / 32_768
        axis.plot(np.arange(len(samples)) / rate, samples, linewidth=0.3, color="#b9c4d8")
        axis.set(title=name, yticks=[])
        pitch = pitch_hz(samples)
        voiced = np.flatnonzero(pitch)
        hertz = axis.twinx()
        hertz.plot(voiced * 0.02, pitch[voiced], ".", markersize=3, color="#a8372c")
        hertz.set(ylabel="pitch, Hz", ylim=(50, 400))
    rows[-1].set_xlabel("seconds")
    figure.savefig(path, dpi=110)


async def main(model: str = "csm-tiny", folder: str = ".") -> None:
    with Engine.load(model) as engine:
        sounds = {
            "with context": await replies(engine, listen=True),
            "without context": await replies(engine, listen=False),
        }
        for name, sound in sounds.items():
            path = Path(folder) / f"{name.replace(' ', '_')}.wav"
            write_wav(path, sound, engine.sample_rate)
            print(f"{path}: {len(sound) / engine.sample_rate:.1f} s of speech")
        picture = Path(folder) / "context.png"
        draw(sounds, engine.sample_rate, picture)
        print(f"{picture}: their pitch")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
