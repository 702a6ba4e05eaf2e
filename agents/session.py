"""One caller's conversation: microphone to recogniser to brain to CSM to loudspeaker, until the caller leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from loguru import logger
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.processors.frameworks.rtvi import RTVIProcessor
from pipecat.transports.base_transport import BaseTransport
from pipecat.turns.user_stop import TurnAnalyzerUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from agents.recogniser import MoonshineRecogniser
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.settings import SAMPLE_RATE_HZ


async def run_session(transport: BaseTransport, tts: CSMTTSService, make_brain: Callable[[], FrameProcessor]) -> None:
    """Talk until the caller leaves; cancelling ends the session.

    Args:
        transport: the caller's sound and messages; it must know `on_client_disconnected`.
        tts: the voice, with its own conversation.
        make_brain: makes what answers.
    """
    user_params = await asyncio.to_thread(_turn_taking)
    user, assistant = LLMContextAggregatorPair(LLMContext(), user_params=user_params)
    pipeline = Pipeline(
        [
            transport.input(),
            MoonshineRecogniser(),
            user,
            make_brain(),
            tts,
            transport.output(),
            assistant,
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_out_sample_rate=SAMPLE_RATE_HZ, enable_metrics=True, enable_usage_metrics=True),
    )

    @worker.rtvi.event_handler("on_client_ready")
    async def greet(_rtvi: RTVIProcessor) -> None:
        await worker.queue_frame(LLMRunFrame())

    @transport.event_handler("on_client_disconnected")
    async def leave(_transport: BaseTransport, _client: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    logger.info("session: the caller is connected")
    try:
        await runner.run()
    finally:
        logger.info("session: ended")


def _turn_taking() -> LLMUserAggregatorParams:
    """Voice activity and end of turn, both with models that Pipecat's wheel carries. Blocks while they load."""
    stop = TurnAnalyzerUserTurnStopStrategy(turn_analyzer=LocalSmartTurnAnalyzerV3())
    return LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=UserTurnStrategies(stop=[stop])
    )
