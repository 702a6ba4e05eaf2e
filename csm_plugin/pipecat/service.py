"""CSM as a Pipecat text-to-speech service."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger
from pipecat.frames.frames import CancelFrame, EndFrame, Frame, TTSAudioRawFrame
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.text.transforms.text_transform import TextTransform
from pipecat.utils.tracing.service_decorators import traced_tts

from csm_plugin.audio.pcm import to_int16
from csm_plugin.errors import (
    CSMError,
    EngineBusyError,
    EngineClosedError,
    GenerationError,
    InputError,
    SettingsError,
    TextError,
)
from csm_plugin.pipecat.aggregator import SpeechTextAggregator, drop_unspeakable
from csm_plugin.pipecat.engines import SpeechEngine, load_shared_engine, shared_engine
from csm_plugin.pipecat.settings import CSMTTSSettings, check_change, check_voice, complete, sampling_of
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ
from csm_plugin.text.sentences import split_sentences

if TYPE_CHECKING:
    from csm_plugin.engine import Conversation, Utterance

SILENCE_TIMEOUT_S = 30.0


class CSMTTSService(TTSService):
    """Speaks an LLM's text as it streams in, with one conversation of a CSM engine per service.

    The first clause of a reply goes out early; audio goes out as 80 ms frames of 24 kHz mono, equal to the engine's
    samples. Many services share one engine. What a sentence fails with is reported as an `ErrorFrame`, and the service
    goes on with the next one; only a closed engine makes it unusable.

    Args:
        engine: an engine, or the name, folder or hub id of a model. A model is loaded once per process, in a thread
            that starts here, and `setup` waits for it: load ahead with `load_shared_engine`, or pass an engine.
        settings: voice and sampling; see `CSMTTSSettings`. Changed at run time with `TTSUpdateSettingsFrame`.
        sample_rate: 24,000 only; the transport resamples to what it needs.
        text_transforms: as for `TTSService`; unspeakable text is dropped after them.
        **kwargs: passed to `TTSService`.

    Raises:
        SettingsError: a setting is unknown or out of range.
        VoiceError: the engine has no such voice. With a model's name this comes when the pipeline is set up.
    """

    Settings = CSMTTSSettings
    _settings: CSMTTSSettings

    def __init__(
        self,
        *,
        engine: SpeechEngine | str | Path,
        settings: TTSSettings | None = None,
        sample_rate: int = SAMPLE_RATE_HZ,
        text_transforms: list[tuple[str, TextTransform]] | None = None,
        **kwargs: Any,
    ) -> None:
        if sample_rate != SAMPLE_RATE_HZ:
            raise SettingsError(f"sample_rate is {sample_rate!r}; it must be {SAMPLE_RATE_HZ}: the transport resamples")
        options = {
            "push_start_frame": True,
            "push_stop_frames": True,
            "stop_frame_timeout_s": SILENCE_TIMEOUT_S,
            "max_consecutive_zero_audio_contexts": 0,
        }
        super().__init__(
            settings=complete(settings),
            sample_rate=SAMPLE_RATE_HZ,
            text_transforms=[*(text_transforms or []), ("*", drop_unspeakable)],
            **(options | kwargs),
        )
        if self._text_aggregation_mode is TextAggregationMode.TOKEN:
            raise SettingsError("text_aggregation_mode is TOKEN; CSM speaks sentences: leave it out")
        self._text_aggregator = SpeechTextAggregator(language=self.text_aggregation_language)
        self._is_yielding_frames_synchronously = True
        self._engine: SpeechEngine | None = None
        self._talk: Conversation | None = None
        self._speaking: dict[str, Utterance] = {}
        if isinstance(engine, str | Path):
            self._model: str | Path = engine
            shared_engine(engine)
        else:
            self._model = engine.model_name
            self._use(engine)

    @property
    def conversation(self) -> Conversation:
        """The live conversation, opened by the first use.

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
        return self._talk

    def can_generate_metrics(self) -> bool:
        """True: time to first byte, processing time and characters are reported."""
        return True

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Wait for the engine if a model was named.

        Raises:
            CheckpointError: the model cannot be loaded.
            VoiceError: the engine has no such voice.
        """
        await super().setup(setup)
        if self._engine is None:
            self._use(await load_shared_engine(self._model))

    async def stop(self, frame: EndFrame) -> None:
        """Play what is queued, then stop; a reply that its LLM never ended isn't waited for."""
        for context_id in self.get_audio_contexts():
            await self.remove_audio_context(context_id)
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        """Stop speaking at once, ahead of everything that is queued."""
        for utterance in self._speaking.values():
            utterance.cancel()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        """End the conversation and free its row; the engine goes on."""
        await super().cleanup()
        if self._talk is not None:
            self._talk.close()

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Stop what is being spoken in one audio context; the transport is silent only after this returns."""
        utterance = self._speaking.pop(context_id, None)
        if utterance is not None:
            utterance.cancel()
        if self._talk is not None and not self._speaking:
            self._talk.interrupt()
        await super().on_audio_context_interrupted(context_id)

    async def tts_process_generator(self, context_id: str, generator: AsyncGenerator[Frame | None, None]) -> None:
        """Route a sentence's frames into its audio context.

        A sentence without audio must not look like one whose audio is still to come: its context would stay open, and
        later ones would wait, until the silence timeout.
        """
        await super().tts_process_generator(context_id, generator)
        self._is_yielding_frames_synchronously = True

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak one piece of a reply.

        Args:
            text: one sentence or clause, or any text of a `TTSSpeakFrame`, which is spoken sentence by sentence.
            context_id: the audio context that the frames belong to.

        Yields:
            `TTSAudioRawFrame` of 80 ms, 24 kHz, 16 bit, mono. Cancelling the iteration cancels the speech.
        """
        await self.start_tts_usage_metrics(text)
        for sentence in split_sentences(text):
            utterance = await self._begin(sentence, context_id)
            if utterance is None:
                continue
            try:
                async for chunk in utterance:
                    samples = to_int16(chunk.pcm)
                    for start in range(0, len(samples), FRAME_SAMPLES):
                        audio = samples[start : start + FRAME_SAMPLES].tobytes()
                        yield TTSAudioRawFrame(audio, SAMPLE_RATE_HZ, 1, context_id=context_id)
            except CSMError as error:
                await self._report(error)
            finally:
                self._end(utterance, context_id)
            if utterance.finish_reason == "cancelled":
                break

    async def _begin(self, sentence: str, context_id: str) -> Utterance | None:
        """Start speaking a sentence; None if it holds nothing to speak, or if it failed, which is reported."""
        try:
            utterance = self.conversation.speak(sentence)
        except TextError as error:
            logger.debug(f"{self}: skipped text of {len(sentence)} characters: {error}")
            return None
        except CSMError as error:
            await self._report(error)
            return None
        self._speaking[context_id] = utterance
        return utterance

    def _end(self, utterance: Utterance, context_id: str) -> None:
        if self._speaking.get(context_id) is utterance:
            del self._speaking[context_id]
        utterance.cancel()
        if utterance.finish_reason == "length":
            logger.warning(f"{self}: an utterance was cut off at its maximal length")

    async def _report(self, error: CSMError) -> None:
        lost = isinstance(error, EngineClosedError)
        await self.push_error(f"{type(error).__name__}: {error}", exception=error, force_treat_as_permanent=lost)

    def _classify_error(self, exception: Exception) -> ErrorCategory | None:
        if isinstance(exception, EngineBusyError):
            return ErrorCategory.RATE_LIMIT
        return ErrorCategory.SERVER if isinstance(exception, GenerationError) else None

    async def _update_settings(self, delta: TTSSettings) -> dict[str, Any]:
        """Apply a change from the next sentence on; a wrong one is reported and changes nothing."""
        try:
            check_change(self._settings, delta, voices=self._engine.voices if self._engine is not None else None)
        except InputError as error:
            await self._report(error)
            return {}
        changed = await super()._update_settings(delta)
        if changed and self._talk is not None:
            settings = self._settings
            try:
                self._talk.configure(voice=settings.voice, speaker=settings.speaker, sampling=sampling_of(settings))
            except CSMError as error:
                await self._report(error)
        return changed

    def _use(self, engine: SpeechEngine) -> None:
        check_voice(self._settings.voice, engine.voices)
        self._engine = engine
        self._settings.model = engine.model_name
        self._sync_model_name_to_metrics()
