"""Who speaks for the Pipecat agents: an engine, shared by all callers, or the backend that `TTS_BACKEND` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat.services.tts_service import TTSService

from agents.backend_service import BackendTTS
from agents.backends import RATE_HZ, Backend
from csm_plugin.interface import SpeechEngine
from csm_plugin.pipecat import CSMTTSService

if TYPE_CHECKING:
    from csm_plugin.engine import Engine


def describe(speech: Engine | Backend, voice: str | None) -> str:
    """Say in a line who speaks."""
    if isinstance(speech, Backend):
        return f"Speaking with TTS_BACKEND {speech.name}."
    return f"Speaking with {speech.model_name} on {speech.device}, voice: {voice or 'the model’s own'}."


def make_tts(speech: SpeechEngine | Backend, voice: str | None, *, backend_rate_hz: int = RATE_HZ) -> TTSService:
    """Make one caller's text-to-speech service.

    Args:
        speech: what all callers share.
        voice: one of the engine's voices, or None for the model's own.
        backend_rate_hz: the rate at which a backend speaks; an engine has 24 kHz.
    """
    if isinstance(speech, Backend):
        return BackendTTS(speech.another(backend_rate_hz))
    return CSMTTSService(engine=speech, settings=CSMTTSService.Settings(voice=voice))


def release(speech: Engine | Backend) -> None:
    """Free the model."""
    speech.cleanup() if isinstance(speech, Backend) else speech.close()
