"""`/live`, `/ready` and `/metrics`: for whatever watches over the server."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from csm_plugin.server.shared.service import Service


class Health(BaseModel):
    """How the server is."""

    status: Literal["live", "ready", "loading", "restarting", "failed", "closed", "draining", "out_of_memory"]


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["health"])

    @routes.get("/live")
    async def live() -> Health:
        """Answer as long as the process does. Needs no key."""
        return Health(status="live")

    @routes.get("/ready", responses={503: {"model": Health, "description": "It cannot speak just now."}})
    async def ready(response: Response) -> Health:
        """Tell whether it can speak now. Needs no key."""
        keeper = service.keeper
        if keeper.is_ready and not service.draining:
            return Health(status="ready")
        response.status_code = 503
        if service.draining:
            return Health(status="draining")
        return Health(status="out_of_memory" if keeper.state == "ready" else keeper.state)

    @routes.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Give counts and measurements in Prometheus's text format."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return routes
