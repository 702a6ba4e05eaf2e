"""What the caller says becomes text, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from pipecat.frames.frames import (
    InputAudioRawFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from agents.recogniser import RECOGNISER_RATE_HZ, MoonshineRecogniser
from tests.agents.browser import record_voice
from tests.pipecat.harness import running


async def test_a_spoken_sentence_is_recognised(tmp_path: Path) -> None:
    record_voice(tmp_path / "voice.wav", "I would like to hear a story about the sea.", before_s=0.3)
    samples, rate_hz = soundfile.read(tmp_path / "voice.wav", dtype="int16", frames=4 * RECOGNISER_RATE_HZ)
    assert rate_hz == RECOGNISER_RATE_HZ
    async with running(MoonshineRecogniser()) as session:
        await session.send(VADUserStartedSpeakingFrame())
        await session.until(lambda: session.of(VADUserStartedSpeakingFrame))
        await session.send(InputAudioRawFrame(samples.tobytes(), rate_hz, 1))
        await session.until(lambda: session.of(InputAudioRawFrame))
        await session.send(VADUserStoppedSpeakingFrame())
        await session.until(lambda: session.of(TranscriptionFrame))
    heard = session.of(TranscriptionFrame)[0]
    assert "story about the sea" in heard.text
    assert heard.finalized


async def test_of_speech_without_an_end_the_last_half_minute_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    async def recognise(audio: bytes, rate_hz: int) -> str:
        taken.append(len(audio) // 2 // rate_hz)
        return "noise"

    monkeypatch.setattr("agents.recogniser.recognise", recognise)
    minute = InputAudioRawFrame(bytes(2 * 60 * RECOGNISER_RATE_HZ), RECOGNISER_RATE_HZ, 1)
    async with running(MoonshineRecogniser()) as session:
        await session.send(VADUserStartedSpeakingFrame(), minute, VADUserStoppedSpeakingFrame())
        await session.until(lambda: session.of(TranscriptionFrame))
    assert taken == [30]
