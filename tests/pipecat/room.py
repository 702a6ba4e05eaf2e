"""A whole conversation in a pipeline: a user who speaks, an LLM with scripted replies, the service, a loudspeaker."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextAssistantTurnFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.turns.speculation_gate import SpeculationGate
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601

from csm_plugin.pipecat import CSMTTSService, PlaybackTracker, user_turn
from csm_plugin.settings import SAMPLE_RATE_HZ
from tests.pipecat.harness import Session, running

MICROPHONE_HZ = 16_000
FRAME_MS = 20
VAD_START_S = 0.2
VAD_STOP_S = 0.2
TOKEN_S = 0.02


class Loudspeaker(BaseOutputTransport):
    """Plays at the pace of a real one, and keeps what it played.

    Args:
        rate: of what it plays, in Hz.
    """

    def __init__(self, rate: int = SAMPLE_RATE_HZ) -> None:
        super().__init__(
            TransportParams(audio_out_enabled=True, audio_out_sample_rate=rate, audio_out_end_silence_secs=0)
        )
        self.played: list[tuple[float, npt.NDArray[np.int16]]] = []
        """When each piece began to be heard, in seconds of the loop's time, and its samples."""
        self._ends_s = 0.0

    @property
    def sound(self) -> npt.NDArray[np.int16]:
        """All that was played, without the silence between, int16 [samples]."""
        return np.concatenate([np.zeros(0, np.int16), *(samples for _, samples in self.played)])

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        now = asyncio.get_running_loop().time()
        begins = max(now, self._ends_s)
        self._ends_s = begins + len(frame.audio) / 2 / frame.sample_rate
        self.played.append((begins, np.frombuffer(frame.audio, np.int16)))
        await asyncio.sleep(self._ends_s - now)
        return True


class Brain(FrameProcessor):
    """Answers each context with the next of its replies, token by token; holds what answers an unfinished turn.

    Args:
        replies: in their order; after the last it is silent. `None` in a reply's place answers nothing.
    """

    def __init__(self, replies: Sequence[str]) -> None:
        super().__init__()
        self._replies = iter(replies)
        self._gate = SpeculationGate()
        self.said: list[str] = []

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        for released, way in self._gate.process(frame, direction):
            await super().push_frame(released, way)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, EagerEndOfTurnCancelFrame) and self._gate.is_speculating:
            await self._start_interruption()
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        self._gate.begin_speculation(frame.speculation)
        reply = next(self._replies, None)
        if reply is not None:
            await self.answer(reply)

    async def answer(self, reply: str) -> None:
        """Say a reply, token by token."""
        self.said.append(reply)
        await self.push_frame(LLMFullResponseStartFrame())
        for token in re.findall(r"\s*\S+", reply):
            await asyncio.sleep(TOKEN_S)
            await self.push_frame(LLMTextFrame(token))
        await self.push_frame(LLMFullResponseEndFrame())


class Commits(FrameProcessor):
    """Keeps what the assistant aggregator commits."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)
        self.texts: list[str] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextAssistantTurnFrame) and direction is FrameDirection.DOWNSTREAM:
            self.texts.append(frame.text)
        await self.push_frame(frame, direction)


@dataclass
class Room:
    """A conversation that goes on."""

    session: Session
    service: CSMTTSService
    brain: Brain
    loudspeaker: Loudspeaker
    context: LLMContext
    commits: Commits

    async def user_says(self, text: str, seconds: float = 1.0, *, pitch_hz: float = 200.0) -> None:
        """Speak into the microphone for some seconds, and be understood; returns when the turn is over."""
        await self.speech(seconds, pitch_hz=pitch_hz)
        await self.session.send(TranscriptionFrame(text, "user", time_now_iso8601(), finalized=True))
        await self.silence(0.3)

    async def speech(self, seconds: float, *, pitch_hz: float = 200.0) -> None:
        """Make sound that voice activity detection notices."""
        confirmed = min(VAD_START_S, seconds / 2)
        await self.sound(confirmed, pitch_hz)
        await self.session.send(VADUserStartedSpeakingFrame(start_secs=confirmed, timestamp=user_turn.time.time()))
        await self.sound(seconds - confirmed, pitch_hz)
        await self.silence(VAD_STOP_S)
        await self.session.send(VADUserStoppedSpeakingFrame(stop_secs=VAD_STOP_S, timestamp=user_turn.time.time()))

    async def silence(self, seconds: float) -> None:
        """Say nothing."""
        await self.sound(seconds, None)

    async def sound(self, seconds: float, pitch_hz: float | None) -> None:
        """Feed the microphone at its own pace."""
        samples = MICROPHONE_HZ * FRAME_MS // 1000
        for index in range(round(seconds * 1000 / FRAME_MS)):
            moments = (index * samples + np.arange(samples)) / MICROPHONE_HZ
            wave = np.zeros(samples) if pitch_hz is None else 8_000 * np.sin(2 * np.pi * pitch_hz * moments)
            await self.session.send(InputAudioRawFrame(wave.astype(np.int16).tobytes(), MICROPHONE_HZ, 1))
            await asyncio.sleep(FRAME_MS / 1000)

    async def interrupt(self) -> None:
        """Interrupt, without a word; returns when everybody knows."""
        count = len(self.session.of(InterruptionFrame))
        await self.session.send(InterruptionFrame())
        await self.session.until(lambda: len(self.session.of(InterruptionFrame)) > count)
        await asyncio.sleep(0.05)


@asynccontextmanager
async def talking(
    service: CSMTTSService,
    replies: Sequence[str],
    *,
    tracked: bool = False,
    loudspeaker: Loudspeaker | None = None,
    user_params: LLMUserAggregatorParams | None = None,
    observers: list[BaseObserver] | None = None,
    voices: FrameProcessor | None = None,
    brain: Brain | None = None,
) -> AsyncIterator[Room]:
    """Run a conversation; leaving ends it gracefully.

    Args:
        voices: what stands in the service's place, with the service in it.
        brain: what answers instead of one with `replies`.
    """
    context, speaker, commits = LLMContext(), loudspeaker or Loudspeaker(), Commits()
    brain = brain or Brain(replies)
    strategies = UserTurnStrategies(
        start=[VADUserTurnStartStrategy()], stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.05)]
    )
    user, assistant = LLMContextAggregatorPair(
        context, user_params=user_params or LLMUserAggregatorParams(user_turn_strategies=strategies)
    )
    tracker = [PlaybackTracker(service.playback)] if tracked else []
    async with running(
        user, brain, voices or service, speaker, *tracker, assistant, commits, observers=observers
    ) as session:
        yield Room(session, service, brain, speaker, context, commits)
