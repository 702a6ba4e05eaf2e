"""Speech recognition on this machine, without a network: Moonshine's tiny English model, which its wheel carries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from loguru import logger
from moonshine_voice import ModelArch, get_model_path
from moonshine_voice.transcriber import Transcriber
from pipecat.frames.frames import Frame, InputAudioRawFrame, TranscriptionFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601

from csm_plugin.audio.pcm import resample

RECOGNISER_RATE_HZ = 16_000
LATENCY_S = 1.0
MAX_SPEECH_S = 30

# Moonshine's library has no promise about threads: one thread of the process recognises for all sessions.
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recogniser")


class MoonshineRecogniser(SegmentedSTTService):
    """Recognises each stretch of speech that voice activity detection finds; all sessions share one model.

    It takes sound at the rate at which the pipeline takes it in. Of longer speech it keeps the last 30 s.
    """

    def __init__(self) -> None:
        super().__init__(
            ttfs_p99_latency=LATENCY_S,
            settings=STTSettings(model="moonshine-tiny-en", language=Language.EN),
        )

    @property
    def wants_wav_segments(self) -> bool:
        """False: the model reads plain samples."""
        return False

    def can_generate_metrics(self) -> bool:
        """True: processing time is reported."""
        return True

    async def cleanup(self) -> None:
        """Stop; also where the session ended before it had begun, so that neither `stop` nor `cancel` was called."""
        await self._cancel_segment_task()
        await super().cleanup()

    async def process_audio_frame(self, frame: InputAudioRawFrame, direction: FrameDirection) -> None:
        """Keep the sound; noise may pass for speech that never ends."""
        await super().process_audio_frame(frame, direction)
        del self._audio_buffer[: -2 * MAX_SPEECH_S * self.sample_rate]

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame, None]:
        """Recognise one stretch of speech, off the event loop.

        Args:
            audio: int16 samples, mono, at the pipeline's rate.

        Yields:
            One `TranscriptionFrame`, or nothing if no words were recognised.
        """
        await self.start_processing_metrics()
        text = await recognise(audio, self.sample_rate)
        await self.stop_processing_metrics()
        logger.debug(f"{self}: recognised [{text}]")
        if text:
            yield TranscriptionFrame(text, self._user_id, time_now_iso8601(), Language.EN)


async def recognise(audio: bytes, rate_hz: int) -> str:
    """The words of one stretch of speech, empty for none; off the event loop.

    Args:
        audio: int16 samples, mono.
        rate_hz: of the samples.
    """
    return await asyncio.get_running_loop().run_in_executor(_thread, _recognise, audio, rate_hz)


async def load_recogniser() -> None:
    """Load the model now, off the event loop, so that the first session doesn't wait for it."""
    await asyncio.get_running_loop().run_in_executor(_thread, _model)


def _recognise(audio: bytes, rate_hz: int) -> str:
    heard = np.frombuffer(audio, np.int16).astype(np.float32) / np.float32(32_768)
    samples = resample(heard, rate_hz, RECOGNISER_RATE_HZ)
    transcript = _model().transcribe_without_streaming(samples.tolist(), RECOGNISER_RATE_HZ)
    return " ".join(line.text for line in transcript.lines).strip()


@cache
def _model() -> Transcriber:
    return Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options={"return_audio_data": "false"})
