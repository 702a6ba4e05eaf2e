"""Talks with the agent for README's picture of the turns: `python -m benchmarks.talk`.

The whole pipeline of `make agent` without the browser: voice activity, end of turn, recogniser, the built-in rules, and
csm-tiny, on real time. The caller is csm-tiny too, in another voice; it cuts one answer off.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
from loguru import logger
from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame, StartFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams

from agents.brain import ScriptedBrain
from agents.session import Line, Session, open_session
from csm_plugin import SAMPLE_RATE_HZ, Engine, Sampling
from csm_plugin.audio import to_int16
from csm_plugin.pipecat import CSMTTSService

PICTURE = Path(__file__).parents[1] / "docs" / "turns.svg"
MODEL = "csm-tiny"
AGENT, CALLER = "robert", "clara"
SEED = 1
MICROPHONE_HZ = 16_000
FRAME_S = 0.02
POLITE_S = 1.2
"""So long a silence tells the caller that the answer is over."""


@dataclass(frozen=True, slots=True)
class Words:
    """What the caller says.

    Args:
        text: the words.
        after_s: of the agent's answer, to cut it off then; None waits for its end.
    """

    text: str
    after_s: float | None = None


TALK = [Words("Please tell me a story."), Words("I want to hear a joke.", after_s=4.2)]


async def main() -> None:
    logger.remove()
    with Engine.load(MODEL) as engine:
        said = [(words, speech(engine, words.text)) for words in TALK]
        room, tts = Room(), CSMTTSService(engine=engine, settings=CSMTTSService.Settings(voice=AGENT))
        session = await open_session(room, tts, ScriptedBrain, Line(MICROPHONE_HZ, page=False))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())
            tasks.create_task(call(room, session, said))
        for turn in session.timeline.turns:
            print(turn.to_dict())
        session.timeline.draw(PICTURE, last=len(TALK))


def speech(engine: Engine, text: str) -> npt.NDArray[np.int16]:
    """Speak for the caller: int16 [samples] at the microphone's rate."""
    pcm = engine.synthesize(text, voice=CALLER, sampling=Sampling(seed=SEED))
    return to_int16(soxr.resample(pcm, SAMPLE_RATE_HZ, MICROPHONE_HZ))


async def call(room: Room, session: Session, said: list[tuple[Words, npt.NDArray[np.int16]]]) -> None:
    """Be the caller, until all is said and answered."""
    await room.connected()
    for words, sound in said:
        await room.heard(words.after_s)
        await room.say(sound)
    await room.heard(None)
    await session.end()


class Room(BaseTransport):
    """Where the caller hears the agent, and is heard."""

    def __init__(self) -> None:
        super().__init__()
        self._register_event_handler("on_client_connected")
        self._register_event_handler("on_client_disconnected")
        self._microphone, self._loudspeaker = Microphone(), Loudspeaker()

    def input(self) -> FrameProcessor:
        return self._microphone

    def output(self) -> FrameProcessor:
        return self._loudspeaker

    async def connected(self) -> None:
        """Be there: the agent greets."""
        await self._loudspeaker.ready.wait()
        await self._call_event_handler("on_client_connected", self)

    async def say(self, sound: npt.NDArray[np.int16]) -> None:
        """Speak, int16 [samples] at the microphone's rate."""
        samples = round(MICROPHONE_HZ * FRAME_S)
        for start in range(0, len(sound), samples):
            await self._microphone.bring(np.resize(sound[start : start + samples], samples))
        self._loudspeaker.answer_s = 0.0

    async def heard(self, answer_s: float | None) -> None:
        """Listen in silence until so much of an answer was heard, or to its end."""
        silence = np.zeros(round(MICROPHONE_HZ * FRAME_S), np.int16)
        quiet_s = 0.0
        while self._loudspeaker.answer_s < answer_s if answer_s else quiet_s < POLITE_S:
            before_s = self._loudspeaker.answer_s
            await self._microphone.bring(silence)
            is_quiet = self._loudspeaker.answer_s == before_s
            quiet_s = quiet_s + FRAME_S if is_quiet and before_s else 0.0


class Microphone(BaseInputTransport):
    """Takes what the caller says at its own pace."""

    def __init__(self) -> None:
        super().__init__(TransportParams(audio_in_enabled=True))

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def bring(self, sound: npt.NDArray[np.int16]) -> None:
        """Bring in a frame of sound."""
        await self.push_audio_frame(InputAudioRawFrame(sound.tobytes(), MICROPHONE_HZ, 1))
        await asyncio.sleep(FRAME_S)


class Loudspeaker(BaseOutputTransport):
    """Plays at the pace at which the caller hears, and counts what was heard of an answer."""

    def __init__(self) -> None:
        super().__init__(TransportParams(audio_out_enabled=True, audio_out_end_silence_secs=0))
        self.ready = asyncio.Event()
        self.answer_s = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self.ready.set()

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        seconds = len(frame.audio) / 2 / frame.sample_rate
        await asyncio.sleep(seconds)
        self.answer_s += seconds
        return True


if __name__ == "__main__":
    asyncio.run(main())
