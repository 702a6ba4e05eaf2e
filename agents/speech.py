"""Who speaks for the Pipecat agents: an engine, shared by all callers, or the backend that `TTS_BACKEND` names."""

from __future__ import annotations

import argparse

from pipecat.services.tts_service import TTSService

from agents.backend_service import BackendTTS
from agents.backends import RATE_HZ, Backend, chosen_backend
from agents.engine import chosen_model
from csm_plugin.engine import Engine
from csm_plugin.errors import SettingsError
from csm_plugin.interface import SpeechEngine
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.pipecat.settings import check_voice


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a command line choose who speaks."""
    parser.add_argument("--model", help="bundled name, folder, or hub id (default: $CSM_MODEL, else csm-tiny)")
    parser.add_argument("--voice", help="name of a voice of the model (default: the model's own)")


def load_speech(options: argparse.Namespace) -> Engine | Backend:
    """Load the engine that the options name; a backend, where `TTS_BACKEND` names one, loads nothing yet.

    Raises:
        CSMError: it cannot be loaded, or the options or the environment hold what makes no sense.
    """
    backend = chosen_backend(model=options.model)
    if backend is not None:
        if options.voice is not None:
            raise SettingsError("--voice is one of CSM's, and TTS_BACKEND is set: leave out one of them")
        return backend
    model = chosen_model(options.model)
    print(f"Loading {model} …", flush=True)
    engine = Engine.load(model)
    try:
        check_voice(options.voice, engine.voices)
    except BaseException:
        engine.close()
        raise
    return engine


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
