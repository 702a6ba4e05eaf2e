"""The agents' speech recognition as a LiveKit plugin."""

from __future__ import annotations

from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, LanguageCode, stt, utils
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from agents.recogniser import recognise


class MoonshineSTT(stt.STT[Any]):
    """Recognises each stretch of speech that voice activity detection finds; a process has one model."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))

    @property
    def model(self) -> str:
        """The model's name."""
        return "moonshine-tiny-en"

    @property
    def provider(self) -> str:
        """Who made it."""
        return "moonshine"

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = rtc.combine_audio_frames(buffer)
        text = await recognise(bytes(frame.data), frame.sample_rate)
        heard = stt.SpeechData(language=LanguageCode("en"), text=text, end_time=frame.duration)
        return stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard])
