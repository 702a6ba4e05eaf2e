"""`GET /v1/models`: the model that speaks here."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from csm_plugin.server.http.speech import ERRORS
from csm_plugin.server.shared.service import Service


class Model(BaseModel):
    """A model, as OpenAI describes one."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "csm-plugin"


class Models(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["models"])

    @routes.get("/v1/models", responses={503: ERRORS[503]})
    async def models() -> Models:
        """List the model that is loaded."""
        return Models(data=[Model(id=service.keeper.engine.model_name)])

    return routes
