"""What `csm-tiny` is until the trained one is bundled: random weights of the smallest size, which speak noise."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from loguru import logger

import csm_plugin
from csm_plugin.model.random_checkpoint import write_random_checkpoint

NAME = "csm-tiny"


def stand_in() -> Path:
    """Return the folder of the stand-in, made at the first use in the user's cache. Safe between processes."""
    logger.warning("{} is not bundled with this version: random weights stand in for it and speak noise", NAME)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "csm-plugin" / csm_plugin.__version__
    folder = cache / "csm-tiny-stand-in"
    if not (folder / "config.json").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=cache))
        write_random_checkpoint(made, "tiny")
        try:
            made.rename(folder)
        except OSError:  # another process was quicker
            shutil.rmtree(made)
    return folder
