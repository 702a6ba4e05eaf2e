"""The engine of an agent: the model that was asked for, or a stand-in that shows that everything else works."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from csm_plugin.errors import CheckpointNotFound

if TYPE_CHECKING:
    from csm_plugin.engine import Engine

DEFAULT_MODEL = "csm-tiny"
STAND_IN = "stand-in (random weights)"


def chosen_model(model: str | None) -> str:
    """The model to load: what was asked for, else `CSM_MODEL`, else the bundled one."""
    return model or os.environ.get("CSM_MODEL") or DEFAULT_MODEL


def load_engine(model: str) -> tuple[Engine, str]:
    """Load a model. Blocks.

    Args:
        model: bundled name, folder, or hub id. While the bundled model isn't there, random weights of the smallest
            size stand in for it, which speak noise.

    Returns:
        The engine, and what to call its model.

    Raises:
        CheckpointError: the model cannot be loaded.
    """
    from csm_plugin.engine import Engine

    try:
        return Engine.load(model), model
    except CheckpointNotFound:
        if model != DEFAULT_MODEL:
            raise
    logger.warning(f"{DEFAULT_MODEL} is not bundled with this version: random weights stand in, and speak noise")
    return _load_stand_in(), STAND_IN


def _load_stand_in() -> Engine:
    from csm_plugin.engine import Engine
    from csm_plugin.model.random_checkpoint import write_random_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        write_random_checkpoint(Path(folder), size="tiny")
        return Engine.load(folder)
