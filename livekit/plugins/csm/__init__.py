"""Sesame's CSM for LiveKit Agents: a voice that hears the conversation that it is part of."""

from __future__ import annotations

from csm_plugin import __version__
from csm_plugin.extras import needing

with needing("livekit", "livekit.plugins.csm"):
    from livekit.agents import Plugin

    from csm_plugin.livekit.context import Context
    from csm_plugin.livekit.load import EngineLoad
    from csm_plugin.livekit.log import logger
    from csm_plugin.livekit.options import TTSOptions
    from csm_plugin.livekit.plugin import CSMPlugin
    from csm_plugin.livekit.streams import ChunkedStream, SynthesizeStream
    from csm_plugin.livekit.tts import TTS

__all__ = [
    "TTS",
    "ChunkedStream",
    "Context",
    "EngineLoad",
    "SynthesizeStream",
    "TTSOptions",
    "__version__",
    "logger",
]

Plugin.register_plugin(CSMPlugin())
