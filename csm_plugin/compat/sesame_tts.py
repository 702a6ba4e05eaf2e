"""Sesame_TTS's calls: `generate_speech` and `generate_speech_with_context`, WAV bytes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from csm_plugin.audio import to_int16, wav_header
from csm_plugin.compat.context import Spoken, field_of, samples_of, speak_after, speaker_of
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling

if TYPE_CHECKING:
    from csm_plugin.engine import Engine


class SesameTTS:
    """Speaks texts into WAV files. Safe from any thread; every call blocks until its sound is complete.

    Args:
        engine: speaks; the caller closes it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def generate_speech(
        self,
        text: str,
        speaker: int = 0,
        max_audio_length_ms: float = 10_000,
        temperature: float = 0.9,
        topk: int = 50,
    ) -> bytes:
        """Speak a text.

        Args:
            speaker: a number from 0 to 99.
            max_audio_length_ms: the sound ends there.
            temperature: 0 is greedy.
            topk: how many of the likeliest codes may be drawn.

        Returns:
            a WAV file: 24 kHz, mono, 16 bit.

        Raises:
            CSMError: as `Conversation.speak` does, SettingsError for a value that is out of range.
        """
        return self.generate_speech_with_context(text, speaker, (), max_audio_length_ms, temperature, topk)

    def generate_speech_with_context(
        self,
        text: str,
        speaker: int,
        context_segments: Sequence[object],
        max_audio_length_ms: float = 10_000,
        temperature: float = 0.9,
        topk: int = 50,
    ) -> bytes:
        """Speak a text after what was said before.

        Args:
            context_segments: oldest first, each with `text`, `speaker` and `audio_tensor`, its sound at 24 kHz in
                [-1, 1], [samples] or [1, samples]; dictionaries, or objects with these attributes.

        Raises:
            CSMError: as `generate_speech`; InputError, AudioError for a segment that is none.
        """
        context = [
            Spoken(
                field_of(one, "text"), speaker_of(field_of(one, "speaker")), samples_of(field_of(one, "audio_tensor"))
            )
            for one in context_segments
        ]
        sampling = Sampling(temperature=temperature, top_k=topk, max_seconds=max_audio_length_ms / 1000)
        pieces = list(speak_after(self.engine, context, text, speaker_of(speaker), sampling))
        samples = to_int16(np.concatenate(pieces)) if pieces else np.zeros(0, np.int16)
        return wav_header(SAMPLE_RATE_HZ, len(samples)) + samples.astype("<i2").tobytes()
