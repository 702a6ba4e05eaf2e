"""A Pipecat service that holds one conversation of a CSM engine: its engine, its settings, its errors, its end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.utils.errors import ErrorCategory

from csm_plugin.errors import (
    ContextFullError,
    CSMError,
    EngineBusyError,
    EngineClosedError,
    EngineUnreachableError,
    GenerationError,
    InputError,
)
from csm_plugin.interface import SpeechEngine
from csm_plugin.pipecat.engines import load_shared_engine, shared_engine
from csm_plugin.pipecat.heard import HeardSpeech
from csm_plugin.pipecat.playback import PlaybackPosition
from csm_plugin.pipecat.settings import CSMTTSSettings, check_change, check_voice, complete, sampling_of

if TYPE_CHECKING:
    from csm_plugin.interface import SpeechConversation


_CATEGORIES = {
    EngineBusyError: ErrorCategory.RATE_LIMIT,
    EngineUnreachableError: ErrorCategory.CONNECTIVITY,
    GenerationError: ErrorCategory.SERVER,
    InputError: ErrorCategory.APPLICATION,
    ContextFullError: ErrorCategory.APPLICATION,
}
"""What Pipecat calls an error; none of these costs the service its place in the pipeline."""


class ConversingService(TTSService):
    """Holds a conversation and keeps it to what is set and what was heard. `CSMTTSService` speaks with it.

    Args:
        engine: an engine, or the name, folder or hub id of a model, which starts loading here.
        settings: see `CSMTTSSettings`.
        **kwargs: passed to `TTSService`.

    Raises:
        SettingsError: a setting is unknown or out of range.
        VoiceError: the engine has no such voice.
    """

    Settings = CSMTTSSettings
    _settings: CSMTTSSettings

    def __init__(self, *, engine: SpeechEngine | str | Path, settings: TTSSettings | None, **kwargs: Any) -> None:
        super().__init__(settings=complete(settings), **kwargs)
        self._engine: SpeechEngine | None = None
        self._talk: SpeechConversation | None = None
        self._playback = PlaybackPosition(loop_time_s)
        self._heard = HeardSpeech(self._playback, loop_time_s)
        if isinstance(engine, str | Path):
            self._model: str | Path = engine
            shared_engine(engine)
        else:
            self._model = engine.model_name
            self._use(engine)

    @property
    def conversation(self) -> SpeechConversation:
        """The live conversation, opened by the first use; its context holds what was heard by now.

        Raises:
            EngineClosedError: the model that was named is not loaded yet; `setup` waits for it.
        """
        if self._talk is None:
            if self._engine is None:
                raise EngineClosedError(f"the engine for {self._model} is still loading; it is there once setup ends")
            settings = self._settings
            self._talk = self._engine.conversation(
                voice=settings.voice, speaker=settings.speaker, sampling=sampling_of(settings)
            )
        self._heard.settle(self._talk)
        return self._talk

    @property
    def playback(self) -> PlaybackPosition:
        """Where the listener is: an estimate, unless a `PlaybackTracker` or a serializer tells it more."""
        return self._playback

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Wait for the engine if a model was named.

        Raises:
            CheckpointError: the model cannot be loaded.
            VoiceError: the engine has no such voice.
        """
        await super().setup(setup)
        if self._engine is None:
            self._use(await load_shared_engine(self._model))

    async def cleanup(self) -> None:
        """End the conversation and free its row; the engine goes on."""
        await super().cleanup()
        if self._talk is not None:
            self._heard.settle(self._talk)
            self._talk.close()

    def _settle_if_due(self) -> None:
        """Tell the conversation of the last interruption, once it is known what was committed. Never blocks."""
        if self._talk is not None and self._heard.due:
            self._heard.settle(self._talk)

    async def _report(self, error: CSMError) -> None:
        lost = isinstance(error, EngineClosedError)
        await self.push_error(f"{type(error).__name__}: {error}", exception=error, force_treat_as_permanent=lost)

    def _classify_error(self, exception: Exception) -> ErrorCategory | None:
        return next((category for kind, category in _CATEGORIES.items() if isinstance(exception, kind)), None)

    async def _update_settings(self, delta: TTSSettings) -> dict[str, Any]:
        """Apply a change from the next sentence on; one that cannot be made is reported and changes nothing."""
        voices = None if self._engine is None else self._engine.voices
        try:
            wanted = check_change(self._settings, delta, voices=voices)
            if self._talk is not None and wanted != self._settings:
                self._talk.configure(voice=wanted.voice, speaker=wanted.speaker, sampling=sampling_of(wanted))
        except CSMError as error:
            await self._report(error)
            return {}
        return await super()._update_settings(delta)

    def _use(self, engine: SpeechEngine) -> None:
        check_voice(self._settings.voice, engine.voices)
        self._engine = engine
        self._settings.model = engine.model_name
        self._sync_model_name_to_metrics()


def loop_time_s() -> float:
    """Seconds on the running event loop's clock."""
    return asyncio.get_running_loop().time()
