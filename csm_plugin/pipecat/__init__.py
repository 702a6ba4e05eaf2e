"""CSM in a Pipecat pipeline: the text-to-speech service and what goes with it."""

from __future__ import annotations

from csm_plugin.extras import needing

with needing("pipecat", __name__):
    from csm_plugin.pipecat.aggregator import SpeechTextAggregator
    from csm_plugin.pipecat.engines import load_shared_engine
    from csm_plugin.pipecat.playback import PlaybackPosition, PlaybackTracker
    from csm_plugin.pipecat.service import CSMTTSService
    from csm_plugin.pipecat.settings import CSMTTSSettings
    from csm_plugin.pipecat.timeline import TurnTimeline

__all__ = [
    "CSMTTSService",
    "CSMTTSSettings",
    "PlaybackPosition",
    "PlaybackTracker",
    "SpeechTextAggregator",
    "TurnTimeline",
    "load_shared_engine",
]
