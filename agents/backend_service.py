"""A backend of `agents.backends` as a Pipecat service."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from pipecat.frames.frames import ErrorFrame, Frame, TTSAudioRawFrame
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService

from agents.backends import RATE_HZ, Backend
from csm_plugin.errors import CSMError
from csm_plugin.text import is_speakable


class BackendTTS(TTSService):
    """Speaks an LLM's text sentence by sentence, in 16 kHz. It follows no turn of the user's.

    Args:
        backend: speaks; each service needs `another` one.
    """

    def __init__(self, backend: Backend) -> None:
        settings = TTSSettings(model=backend.voice.name, voice=None, language=None)
        super().__init__(
            settings=settings, sample_rate=RATE_HZ, push_start_frame=True, push_stop_frames=True,
            stop_frame_timeout_s=1.0,
        )  # fmt: skip
        self._backend = backend

    def can_generate_metrics(self) -> bool:
        """True: processing time is reported."""
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak a sentence."""
        if not is_speakable(text):
            return
        try:
            async with contextlib.aclosing(self._backend.voice.speak(text)) as pieces:
                async for samples in pieces:
                    await self.stop_ttfb_metrics()
                    yield TTSAudioRawFrame(samples.tobytes(), RATE_HZ, 1, context_id=context_id)
        except CSMError as error:
            yield ErrorFrame(error=str(error))
