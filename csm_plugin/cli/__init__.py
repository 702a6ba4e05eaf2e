"""The `csm` command."""

from __future__ import annotations

from csm_plugin.cli.command import main

__all__ = ["main"]
