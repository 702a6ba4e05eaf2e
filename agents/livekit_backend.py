"""A backend of `agents.backends` as a LiveKit plugin, and who speaks for the LiveKit agent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from livekit.agents import APIConnectionError, APIConnectOptions, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.plugins import csm

from agents.backends import Backend, read_choice
from csm_plugin.errors import CSMError
from csm_plugin.settings import SAMPLE_RATE_HZ


class BackendTTS(tts.TTS[Any]):
    """Speaks text sentence by sentence.

    Args:
        backend: speaks, at its own rate.
    """

    def __init__(self, backend: Backend) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=backend.sample_rate, num_channels=1
        )
        self._backend = backend

    @property
    def model(self) -> str:
        """`edge` or `sesame`."""
        return self._backend.name

    @property
    def provider(self) -> str:
        """The same."""
        return self._backend.name

    def synthesize(self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> BackendStream:
        """Speak a sentence."""
        return BackendStream(tts=self, input_text=text, conn_options=conn_options, backend=self._backend)


class BackendStream(tts.ChunkedStream):
    """A sentence, as it is spoken."""

    def __init__(self, *, backend: Backend, **options: Any) -> None:
        super().__init__(**options)
        self._backend = backend

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=self._backend.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
        )
        try:
            async with contextlib.aclosing(self._backend.speak(self._input_text)) as pieces:
                async for samples in pieces:
                    output_emitter.push(samples.tobytes())
        except CSMError as error:
            raise APIConnectionError(f"{type(error).__name__}: {error}") from error
        output_emitter.flush()


def make_tts(environment: Mapping[str, str] = os.environ) -> tuple[tts.TTS[Any], csm.TTS | None]:
    """Make what the agent speaks with: CSM, or what `TTS_BACKEND` names.

    `sesame` is CSM, which is loaded with the first text, and Edge TTS for what it cannot say.

    Args:
        environment: `CSM_VOICE`, and what `agents.backends.read_choice` reads.

    Returns:
        What the session speaks with, and CSM within it, None if it has no part in it.

    Raises:
        SettingsError: see `read_choice`.
    """
    choice = read_choice(environment)
    voice = environment.get("CSM_VOICE") or None
    if choice is None:
        own = csm.TTS(voice=voice)
        return own, own
    edge = BackendTTS(Backend(choice.edge, SAMPLE_RATE_HZ))
    if choice.name == "edge":
        return edge, None
    sesame = csm.TTS(voice=voice, speaker=choice.speaker)
    return tts.FallbackAdapter([sesame, edge]), sesame
