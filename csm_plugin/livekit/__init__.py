"""CSM for LiveKit Agents: the plugin behind `livekit.plugins.csm`.

Importing a name loads LiveKit, never torch; the process that keeps a server needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from csm_plugin.extras import needing

if TYPE_CHECKING:
    from csm_plugin.livekit.context import Context
    from csm_plugin.livekit.load import EngineLoad
    from csm_plugin.livekit.options import TTSOptions
    from csm_plugin.livekit.plugin import CSMPlugin
    from csm_plugin.livekit.streams import ChunkedStream, SynthesizeStream
    from csm_plugin.livekit.tts import TTS

__all__ = ["TTS", "CSMPlugin", "ChunkedStream", "Context", "EngineLoad", "SynthesizeStream", "TTSOptions"]

_HOMES = {
    "TTS": "tts",
    "CSMPlugin": "plugin",
    "ChunkedStream": "streams",
    "Context": "context",
    "EngineLoad": "load",
    "SynthesizeStream": "streams",
    "TTSOptions": "options",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        with needing("livekit", __name__):
            return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
