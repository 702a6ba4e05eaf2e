"""All drop-in routes."""

from __future__ import annotations

from fastapi import APIRouter

from csm_plugin.server.dropin import csm_tts, morgan, shared_paths
from csm_plugin.server.shared.service import Service


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()
    for part in (shared_paths, morgan, csm_tts):
        routes.include_router(part.router(service))
    return routes
