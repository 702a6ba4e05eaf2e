"""Which model an agent speaks with."""

from __future__ import annotations

import os

DEFAULT_MODEL = "csm-tiny"


def chosen_model(model: str | None) -> str:
    """The model to load: what was asked for, else `CSM_MODEL`, else the bundled one."""
    return model or os.environ.get("CSM_MODEL") or DEFAULT_MODEL
