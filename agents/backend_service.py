"""A backend of `agents.backends` as a Pipecat service."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from pipecat.frames.frames import ErrorFrame, Frame, TTSAudioRawFrame
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService

from agents.backends import Backend
from csm_plugin.errors import CSMError

SILENCE_TIMEOUT_S = 300.0
"""The first text loads the model, and is spoken when that is there."""


class BackendTTS(TTSService):
    """Speaks an LLM's text sentence by sentence. It follows no turn of the user's.

    What a sentence fails with is reported as an `ErrorFrame`, and the service goes on with the next one.

    Args:
        backend: speaks, at its own rate; each service needs `another` one, and closes it.
    """

    def __init__(self, backend: Backend) -> None:
        super().__init__(
            settings=TTSSettings(model=backend.name, voice=None, language=None),
            sample_rate=backend.sample_rate,
            push_start_frame=True,
            push_stop_frames=True,
            stop_frame_timeout_s=SILENCE_TIMEOUT_S,
            max_consecutive_zero_audio_contexts=0,
        )
        self._backend = backend
        self._is_yielding_frames_synchronously = True

    def can_generate_metrics(self) -> bool:
        """True: processing time is reported."""
        return True

    async def cleanup(self) -> None:
        """End the conversation; the model stays."""
        await super().cleanup()
        self._backend.close()

    async def tts_process_generator(self, context_id: str, generator: AsyncGenerator[Frame | None, None]) -> None:
        """Route a sentence's frames into its audio context.

        A sentence without audio must not look like one whose audio is still to come: later ones would wait for it.
        """
        await super().tts_process_generator(context_id, generator)
        self._is_yielding_frames_synchronously = True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak a sentence."""
        try:
            async with contextlib.aclosing(self._backend.speak(text)) as pieces:
                async for samples in pieces:
                    await self.stop_ttfb_metrics()
                    yield TTSAudioRawFrame(samples.tobytes(), self._backend.sample_rate, 1, context_id=context_id)
        except CSMError as error:
            yield ErrorFrame(error=f"{type(error).__name__}: {error}")
