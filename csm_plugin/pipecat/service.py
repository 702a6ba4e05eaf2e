"""CSM as a Pipecat text-to-speech service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger
from pipecat.frames.frames import (
    AggregatedTextFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMContextAssistantTurnFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameCallback, FrameDirection
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TextAggregationMode
from pipecat.utils.text.transforms.text_transform import TextTransform
from pipecat.utils.tracing.service_decorators import traced_tts

from csm_plugin.audio.pcm import to_int16
from csm_plugin.errors import CSMError, SettingsError, TextError
from csm_plugin.interface import SpeechEngine
from csm_plugin.pipecat.aggregator import SpeechTextAggregator, write_out
from csm_plugin.pipecat.arguments import engine_for, refuse_unknown, with_voice
from csm_plugin.pipecat.attention import AttentiveService
from csm_plugin.pipecat.heard import PATIENCE_S
from csm_plugin.pipecat.settings import speaks_english
from csm_plugin.pipecat.spoken_turn import Sentence
from csm_plugin.pipecat.word_times import WordTimes
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ
from csm_plugin.text.sentences import MAX_PIECE_CHARACTERS, split_sentences

if TYPE_CHECKING:
    from csm_plugin.conversation import SpeechChunk
    from csm_plugin.interface import SpeechUtterance

SILENCE_TIMEOUT_S = 30.0
MAX_AHEAD_S = 4.0


class CSMTTSService(AttentiveService):
    """Speaks an LLM's text as it streams in, with one conversation of a CSM engine per service.

    The first clause of a reply goes out early; audio goes out as 80 ms frames of 24 kHz mono, equal to the engine's
    samples, and each word as a text frame that is timed to when it is heard. What the user says becomes context if the
    service stands where input audio and turn frames pass, which is everywhere behind the user aggregator. At an
    interruption the context keeps what was heard, word for word what the assistant aggregator commits.

    Many services share one engine. What a sentence fails with is reported as an `ErrorFrame`, and the service goes on
    with the next one; only a closed engine makes it unusable.

    Args:
        engine: an engine, or the name, folder or hub id of a model. A model is loaded once per process, in a thread
            that starts here, and `setup` waits for it: load ahead with `load_shared_engine`, or pass an engine.
        voice: the name of one of the engine's voices; the same as the settings' `voice`.
        model: the name, folder or hub id of a model to load where there is no `engine`.
        settings: voice, sampling, listening; see `CSMTTSSettings`. Changed at run time with `TTSUpdateSettingsFrame`.
        sample_rate: 24,000 only; the transport resamples to what it needs.
        max_ahead_s: how far generation may run ahead of the listener, in seconds; the engine holds up to 2 s more.
            Infinity where nobody listens and the sound goes to a file.
        text_transforms: as for `TTSService`; numbers and signs are written out after them.
        **kwargs: passed to `TTSService`; what it does not know is refused with where it belongs.

    Raises:
        SettingsError: an argument or a setting is unknown or out of range, or there is no engine.
        VoiceError: the engine has no such voice. With a model's name this comes when the pipeline is set up.
    """

    def __init__(
        self,
        *,
        engine: SpeechEngine | str | Path | None = None,
        voice: str | None = None,
        model: str | Path | None = None,
        settings: TTSSettings | None = None,
        sample_rate: int | None = SAMPLE_RATE_HZ,
        max_ahead_s: float = MAX_AHEAD_S,
        text_transforms: list[tuple[str, TextTransform]] | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_unknown(CSMTTSService, kwargs)
        if sample_rate not in (None, SAMPLE_RATE_HZ):
            raise SettingsError(f"sample_rate is {sample_rate!r}; it must be {SAMPLE_RATE_HZ}: the transport resamples")
        if not max_ahead_s >= 0:
            raise SettingsError(f"max_ahead_s is {max_ahead_s!r}; it must be a number of seconds of at least 0")
        options = {
            "push_start_frame": True,
            "push_stop_frames": True,
            "push_text_frames": False,
            "stop_frame_timeout_s": SILENCE_TIMEOUT_S,
            "max_consecutive_zero_audio_contexts": 0,
        }
        settings = with_voice(settings, voice)
        super().__init__(
            engine=engine_for(engine, model, settings),
            max_ahead_s=max_ahead_s,
            settings=settings,
            sample_rate=SAMPLE_RATE_HZ,
            text_transforms=[*(text_transforms or []), ("*", self._write_out)],
            **(options | kwargs),
        )
        if self._text_aggregation_mode is TextAggregationMode.TOKEN:
            raise SettingsError("text_aggregation_mode is TOKEN; CSM speaks sentences: leave it out")
        self._text_aggregator = SpeechTextAggregator(language=self.text_aggregation_language)
        self._is_yielding_frames_synchronously = True
        self._speaking: dict[str, SpeechUtterance] = {}
        self._word_times = WordTimes()

    def can_generate_metrics(self) -> bool:
        """True: time to first byte, processing time and characters are reported."""
        return True

    def add_text_transformer(self, *args: Any, **kwargs: Any) -> None:
        """Add a text transform, as `TTSService` does; numbers and signs are written out after it."""
        super().add_text_transformer(*args, **kwargs)
        self._text_transforms.sort(key=lambda transform: transform[1] == self._write_out)

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

    async def queue_frame(
        self,
        frame: Frame,
        direction: FrameDirection = FrameDirection.DOWNSTREAM,
        callback: FrameCallback | None = None,
    ) -> None:
        """Queue a frame; what was committed to the LLM's context is noted now, as an interruption empties the queue."""
        if isinstance(frame, LLMContextAssistantTurnFrame) and direction is FrameDirection.UPSTREAM:
            self._heard.record(frame.text)
            self._settle_if_due()
            self._tell()
        await super().queue_frame(frame, direction, callback)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Stop at an interruption."""
        if isinstance(frame, InterruptionFrame):
            self._stop_speaking()
        await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Push a frame; what text goes out is noted, to know later what was committed of it."""
        if isinstance(frame, AggregatedTextFrame) and direction is FrameDirection.DOWNSTREAM:
            spoken = frame.text if isinstance(frame, TTSTextFrame) else ""
            recorded = (frame.raw_text or frame.text) if frame.append_to_context else ""
            if spoken or recorded:
                self._heard.show(frame.context_id, spoken, recorded)
        await super().push_frame(frame, direction)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Stop what is being spoken in one audio context; the transport is silent only after this returns."""
        utterance = self._speaking.pop(context_id, None)
        if utterance is not None:
            utterance.cancel()
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
            text: one sentence or clause; more is spoken sentence by sentence.
            context_id: the audio context that the frames belong to.

        Yields:
            `TTSAudioRawFrame` of 80 ms, 24 kHz, 16 bit, mono. Cancelling the iteration cancels the speech.
        """
        await self.start_tts_usage_metrics(text)
        for piece in split_sentences(text):
            await self._wait_for_turn(context_id)
            begun = await self._begin(piece, context_id)
            if begun is None:
                continue
            utterance, sentence = begun
            try:
                async for chunk in utterance:
                    sentence.add(len(chunk.pcm) // FRAME_SAMPLES, chunk.words)
                    words = self._timed(chunk, context_id)
                    for audio in _frames(chunk):
                        self._playback.hand_over(context_id, FRAME_S)
                        yield TTSAudioRawFrame(audio, SAMPLE_RATE_HZ, 1, context_id=context_id)
                    await self.add_word_timestamps(words, context_id)
                    await self._keep_pace(context_id)
            except CSMError as error:
                await self._report(error)
            finally:
                self._end(utterance, sentence)
            if utterance.finish_reason == "cancelled":
                break

    async def _begin(self, text: str, context_id: str) -> tuple[SpeechUtterance, Sentence] | None:
        """Start speaking a sentence; None if it holds nothing to speak, or if it failed, which is reported."""
        try:
            talk = self.conversation
            # Text that came through Pipecat is written out already; doing it twice could change it.
            raw = speaks_english(self._settings) and not self.audio_context_available(context_id)
            utterance = talk.speak(text, normalize=raw)
        except TextError as error:
            logger.debug(f"{self}: skipped text of {len(text)} characters: {error}")
            return None
        except CSMError as error:
            await self._report(error)
            return None
        context = self._tts_contexts.get(context_id)
        sentence = Sentence(context_id, utterance.text)
        if context is not None:
            sentence = replace(sentence, recorded=context.append_to_context, interruptible=context.interruptible)
        self._speaking[context_id] = utterance
        self._heard.begin(sentence)
        return utterance, sentence

    def _end(self, utterance: SpeechUtterance, sentence: Sentence) -> None:
        if self._speaking.get(sentence.context_id) is utterance:
            del self._speaking[sentence.context_id]
        utterance.cancel()
        sentence.live, sentence.ended = False, utterance.finish_reason == "end"
        if utterance.finish_reason == "length":
            logger.warning(f"{self}: an utterance was cut off at its maximal length")

    def _timed(self, chunk: SpeechChunk, context_id: str) -> list[tuple[str, float]]:
        """The words of a chunk, with the times at which they are heard, counted from the beginning of their context."""
        if not chunk.words or not self.audio_context_available(context_id):
            return []
        now_s = self.get_clock().get_time() / 1e9
        tracker = self._word_timestamp_tracker
        playing = tracker.started and self.get_active_audio_context_id() == context_id
        began_s = tracker.pts(0.0) / 1e9 if playing else max(tracker.last_pts / 1e9, now_s)
        heard_in_s = now_s + self._playback.unheard_s - began_s
        return self._word_times.place(context_id, chunk.words, chunk_start_s=chunk.start_s, heard_in_s=heard_in_s)

    async def _keep_pace(self, context_id: str) -> None:
        """Wait while generation is too far ahead of the listener."""
        too_far_s = self._playback.ahead_s - self._max_ahead_s
        if too_far_s > 0 and self.audio_context_available(context_id):
            await asyncio.sleep(too_far_s)

    def _stop_speaking(self) -> None:
        """Stop whatever an interruption ends, and note how much of it was heard. Never blocks."""
        for context_id, utterance in self._speaking.items():
            context = self._tts_contexts.get(context_id)
            if context is None or context.interruptible:
                utterance.cancel()
        self._heard.interrupt()
        asyncio.get_running_loop().call_later(PATIENCE_S, self._settle_if_due)

    async def _handle_aggregated_text(self, src_frame: AggregatedTextFrame, context_id: str | None = None) -> None:
        """Speak text sentence by sentence, since following the words of a long text takes the square of its length."""
        text, whole = src_frame.text, src_frame.raw_text in (None, src_frame.text)
        if not whole or len(text) <= MAX_PIECE_CHARACTERS or src_frame.text_type in self._skip_text_types:
            await super()._handle_aggregated_text(src_frame, context_id)
            return
        context_id = context_id or self.create_context_id()
        for piece in split_sentences(text):
            frame = replace(src_frame, text=piece, raw_text=piece)
            frame.interruptible = src_frame.interruptible
            await super()._handle_aggregated_text(frame, context_id)

    async def _write_out(self, text: str, _text_type: str) -> str:
        return write_out(text, english=speaks_english(self._settings))


def _frames(chunk: SpeechChunk) -> Iterator[bytes]:
    """The frames of a chunk, int16."""
    samples = to_int16(chunk.pcm)
    for start in range(0, len(samples), FRAME_SAMPLES):
        yield samples[start : start + FRAME_SAMPLES].tobytes()
