"""The plugin's logger. LiveKit's own logging is used here, so that its handlers and job fields apply."""

from __future__ import annotations

import logging

logger = logging.getLogger("livekit.plugins.csm")
