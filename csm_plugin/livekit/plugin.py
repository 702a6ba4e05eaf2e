"""The plugin, as LiveKit's tools see it."""

from __future__ import annotations

import os

from livekit.agents import Plugin

from csm_plugin import __version__
from csm_plugin.livekit.backends import DEFAULT_MODEL
from csm_plugin.livekit.log import logger

PACKAGE = "livekit.plugins.csm"


class CSMPlugin(Plugin):
    """Registered when `livekit.plugins.csm` is imported."""

    def __init__(self) -> None:
        super().__init__(PACKAGE, __version__, PACKAGE, logger)

    def download_files(self) -> None:
        """Fetch the weights of `CSM_MODEL`, else of "csm-tiny"; `python -m livekit.agents download-files` calls it.

        Raises:
            CheckpointError: they cannot be fetched.
        """
        from csm_plugin.model.checkpoint import find_checkpoint

        find_checkpoint(os.environ.get("CSM_MODEL") or DEFAULT_MODEL)
