"""Errors as clients see them: OpenAI's shape, and which status each of ours has.

No error tells what was to be spoken, nor a key: messages of ours never hold them, and of a request that cannot be
understood only the place and the rule are told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from csm_plugin.errors import CSMError, EngineBusyError, EngineClosedError
from csm_plugin.protocol.faults import FAILED, INVALID, kind_of

MAX_NAME = 64
NO_OBJECT = ("missing", "model_attributes_type")
"""What pydantic says of a body that is none, or none of JSON."""


class Unavailable(CSMError):
    """The server cannot speak just now.

    Args:
        code: "loading", "restarting", "draining", "out_of_memory", "too_many_connections" or "too_many_sockets".
        retry_after_s: seconds after which to ask again.
    """

    def __init__(self, message: str, code: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


class Refusal(CSMError):
    """A request that is refused as it stands.

    Args:
        param: the name of what is wrong in it.
    """

    def __init__(self, message: str, *, status: int, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of every response that is an error."""

    error: ErrorDetail


def code_of(error: CSMError) -> str:
    """Return the code that tells clients what kind of error it is."""
    if isinstance(error, Unavailable | Refusal):
        return error.code
    return kind_of(error).code


def retry_after_of(error: CSMError) -> float | None:
    """Return the seconds after which a client may try again, if that helps."""
    if isinstance(error, EngineClosedError):
        return 1.0
    return error.retry_after_s if isinstance(error, EngineBusyError | Unavailable) else None


def error_response(error: CSMError) -> JSONResponse:
    """Return the response for an error of ours."""
    if isinstance(error, Refusal):
        return respond(error.status, str(error), INVALID, error.code, error.param)
    if isinstance(error, Unavailable):
        return respond(503, str(error), FAILED, error.code, headers=_retry(error.retry_after_s))
    kind = kind_of(error)
    return respond(kind.status, str(error), kind.type, kind.code, headers=_retry(retry_after_of(error)))


def respond(
    status: int,
    message: str,
    kind: str,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return a response in OpenAI's shape."""
    body = ErrorBody(error=ErrorDetail(message=message, type=kind, param=param, code=code))
    return JSONResponse(body.model_dump(), status_code=status, headers=None if headers is None else dict(headers))


def handle_errors(app: FastAPI) -> None:
    """Give every error of an app that shape."""

    @app.exception_handler(CSMError)
    async def ours(request: Request, error: CSMError) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return respond(400, "the body is no JSON", INVALID, "json_invalid")
        if first["loc"] == ("body",) and first["type"] in NO_OBJECT:
            told = "the body is no JSON object; send one, with Content-Type: application/json"
            return respond(422, told, INVALID, first["type"])
        param = name_of(first["loc"])
        told = first["msg"].removeprefix("Value error, ")
        return respond(422, f"{param}: {told}", INVALID, first["type"], param)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return respond(error.status_code, str(error.detail), INVALID, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return respond(500, f"the server failed ({type(error).__name__})", FAILED, "internal_error")


def name_of(place: tuple[Any, ...]) -> str:
    """Name the place of an error in a request; long names, which a client made up, are cut."""
    return ".".join(str(part)[:MAX_NAME] for part in place if part != "body") or "body"


def _retry(seconds: float | None) -> dict[str, str] | None:
    return None if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}
