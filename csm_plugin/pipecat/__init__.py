"""CSM in a Pipecat pipeline: the text-to-speech service and what goes with it."""

from __future__ import annotations

from csm_plugin.pipecat.aggregator import SpeechTextAggregator
from csm_plugin.pipecat.engines import load_shared_engine
from csm_plugin.pipecat.service import CSMTTSService
from csm_plugin.pipecat.settings import CSMTTSSettings

__all__ = ["CSMTTSService", "CSMTTSSettings", "SpeechTextAggregator", "load_shared_engine"]
