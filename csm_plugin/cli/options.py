"""Options that more than one subcommand takes, and the engine that they describe."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from csm_plugin.engine import Engine

DEFAULT_MODEL = "csm-tiny"


def default_model() -> str:
    """Give the model that is meant when none is named: `CSM_MODEL`, else the bundled one."""
    return os.environ.get("CSM_MODEL") or DEFAULT_MODEL


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add `--model` and `--device`."""
    parser.add_argument(
        "--model",
        default=default_model(),
        help="bundled name, folder, or Hugging Face id (default: $CSM_MODEL, else csm-tiny; now %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, … (default: %(default)s)")


def fetch_first(model: str) -> None:
    """Fetch a model that is on the hub before anything else is shown: its progress cannot share a terminal.

    Raises:
        CheckpointError: it cannot be had; the message says what to do.
    """
    from csm_plugin.model.checkpoint import find_checkpoint, is_on_hub

    if is_on_hub(model):
        find_checkpoint(model)


def load_engine(model: str, device: str) -> Engine:
    """Load an engine for one conversation.

    Raises:
        CSMError: the model cannot be loaded; the message says what to do.
    """
    from csm_plugin.engine import Engine

    return Engine.load(model, device=device, max_conversations=1)
