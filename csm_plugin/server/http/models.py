"""`GET /v1/models`, `/v1/models/{id}` and `/v1/audio/models`: the model that speaks here."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from csm_plugin.server.http.speech import ERRORS, check_model
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


class NamedModel(BaseModel):
    """A model, as Open WebUI reads it."""

    id: str
    name: str


class AudioModels(Models):
    """All models, as OpenAI's clients and Open WebUI read them."""

    models: list[NamedModel]


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["models"], responses={503: ERRORS[503]})

    @routes.get("/v1/models")
    async def models() -> Models:
        """List the model that is loaded."""
        return Models(data=[Model(id=service.keeper.engine.model_name)])

    @routes.get("/v1/models/{id:path}", responses={404: ERRORS[404]})
    async def model(id: str) -> Model:
        """Describe the model that is loaded, which other servers' names stand for."""
        return Model(id=check_model(service, id))

    @routes.get("/v1/audio/models")
    async def audio_models() -> AudioModels:
        """List the model that is loaded."""
        name = service.keeper.engine.model_name
        return AudioModels(data=[Model(id=name)], models=[NamedModel(id=name, name=name)])

    return routes
