"""The server as an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csm_plugin.extras import needing

if TYPE_CHECKING:
    from csm_plugin.client.engine import RemoteEngine

__all__ = ["RemoteEngine"]


def __getattr__(name: str) -> Any:
    if name == "RemoteEngine":
        with needing("client", __name__):
            from csm_plugin.client.engine import RemoteEngine

        return RemoteEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
