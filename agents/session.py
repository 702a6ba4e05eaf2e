"""One caller's conversation: microphone to recogniser to brain to CSM to loudspeaker, until the caller leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import EndFrame, LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.processors.frameworks.rtvi import RTVIProcessor
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import BaseTransport
from pipecat.turns.user_stop import TurnAnalyzerUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from agents.recogniser import MoonshineRecogniser
from agents.turns import log_turns, show_turns
from csm_plugin.pipecat import CSMTTSService, PlaybackTracker, TurnTimeline
from csm_plugin.settings import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Line:
    """What the way to the caller needs.

    Args:
        rate_in_hz: of the sound that comes from the caller.
        rate_out_hz: of the sound that the transport sends.
        heard: processors behind the recogniser.
        spoken: processors behind the voice; they must bring its sound to `rate_out_hz`.
        page: the caller has a page that speaks RTVI and says when it is ready; without one the agent greets at once.
    """

    rate_in_hz: int = 16_000
    rate_out_hz: int = SAMPLE_RATE_HZ
    heard: tuple[FrameProcessor, ...] = ()
    spoken: tuple[FrameProcessor, ...] = ()
    page: bool = True


class Session:
    """A conversation with one caller; for one event loop. Made by `open_session`."""

    def __init__(self, worker: PipelineWorker, timeline: TurnTimeline) -> None:
        self._worker = worker
        self.timeline = timeline

    async def run(self) -> None:
        """Talk until the caller leaves or the session is ended; cancelling ends it."""
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self._worker)
        logger.info("session: the caller is connected")
        try:
            await runner.run()
        finally:
            logger.info("session: ended")

    async def end(self) -> None:
        """Say what is being said to its end, then leave. Returns at once."""
        await self._worker.queue_frame(EndFrame())

    async def leave(self) -> None:
        """Leave now. Returns at once."""
        await self._worker.cancel()


async def run_session(transport: BaseTransport, tts: TTSService, make_brain: Callable[[], FrameProcessor]) -> None:
    """Talk until the caller leaves; cancelling ends the session.

    Args:
        transport: the caller's sound and messages; it must know `on_client_disconnected`.
        tts: the voice; CSM's with its own conversation.
        make_brain: makes what answers.
    """
    session = await open_session(transport, tts, make_brain, Line())
    await session.run()


async def open_session(
    transport: BaseTransport, tts: TTSService, make_brain: Callable[[], FrameProcessor], line: Line
) -> Session:
    """Build a conversation, ready to run.

    Args:
        transport: the caller's sound and messages; it must know `on_client_connected` and `on_client_disconnected`.
        tts: the voice; CSM's with its own conversation.
        make_brain: makes what answers.
        line: what lies between the caller and the pipeline.
    """
    user_params = await asyncio.to_thread(_turn_taking)
    user, assistant = LLMContextAggregatorPair(LLMContext(), user_params=user_params)
    pipeline = Pipeline(
        [
            transport.input(),
            MoonshineRecogniser(),
            *line.heard,
            user,
            make_brain(),
            tts,
            *line.spoken,
            transport.output(),
            *([PlaybackTracker(tts.playback)] if isinstance(tts, CSMTTSService) else []),
            assistant,
        ]
    )
    timeline = TurnTimeline()
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(
            audio_in_sample_rate=line.rate_in_hz,
            audio_out_sample_rate=line.rate_out_hz,
            enable_metrics=True,
            enable_usage_metrics=True,
        ),
        enable_rtvi=line.page,
        observers=[timeline],
    )
    session = Session(worker, timeline)
    log_turns(timeline)

    if line.page:
        show_turns(timeline, worker)

        @worker.rtvi.event_handler("on_client_ready")
        async def greet_page(_rtvi: RTVIProcessor) -> None:
            await worker.queue_frame(LLMRunFrame())

    else:

        @transport.event_handler("on_client_connected")
        async def greet(_transport: BaseTransport, _client: object) -> None:
            await worker.queue_frame(LLMRunFrame())

    @transport.event_handler("on_client_disconnected")
    async def leave(_transport: BaseTransport, _client: object) -> None:
        await session.leave()

    return session


def _turn_taking() -> LLMUserAggregatorParams:
    """Voice activity and end of turn, both with models that Pipecat's wheel carries. Blocks while they load."""
    stop = TurnAnalyzerUserTurnStopStrategy(turn_analyzer=LocalSmartTurnAnalyzerV3())
    return LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=UserTurnStrategies(stop=[stop])
    )
