"""Errors on their way from a server to its clients: one table of what each is, its code and its status."""

from __future__ import annotations

from dataclasses import dataclass

from csm_plugin.errors import (
    ContextFullError,
    CSMError,
    EngineBusyError,
    EngineClosedError,
    GenerationError,
    InputError,
    ReaderStalledError,
    TextError,
    VoiceError,
)
from csm_plugin.protocol.messages import Fault

INVALID, LIMITED, FAILED = "invalid_request_error", "rate_limit_error", "server_error"
"""What OpenAI's API calls the types of errors."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """An error of ours as clients see it.

    Args:
        error: what it is here, and becomes again at the client.
        status: of a response over HTTP.
        type: in OpenAI's words.
        code: tells clients apart what kind of error it is.
    """

    error: type[CSMError]
    status: int
    type: str
    code: str


KINDS = (
    FaultKind(TextError, 422, INVALID, "bad_text"),
    FaultKind(VoiceError, 422, INVALID, "bad_voice"),
    FaultKind(InputError, 422, INVALID, "bad_input"),
    FaultKind(ContextFullError, 422, INVALID, "context_full"),
    FaultKind(EngineBusyError, 429, LIMITED, "engine_busy"),
    FaultKind(EngineClosedError, 503, FAILED, "engine_closed"),
    FaultKind(ReaderStalledError, 408, FAILED, "reader_stalled"),
    FaultKind(CSMError, 500, FAILED, "generation_failed"),
)
"""The first that fits an error counts."""

PASSING = frozenset({"engine_closed", "loading", "restarting", "draining", "out_of_memory", "closed", "failed"})
"""Codes of what another server, or the same one a moment later, can do."""


def kind_of(error: CSMError) -> FaultKind:
    """Return what clients are told of an error."""
    return next(kind for kind in KINDS if isinstance(error, kind.error))


def error_of(fault: Fault) -> CSMError:
    """Return the error that a fault stands for."""
    if fault.code == "engine_busy":
        return EngineBusyError(fault.message, fault.retry_after_s or 1.0)
    kinds = (kind.error for kind in KINDS[:-1] if kind.code == fault.code)
    return next(kinds, GenerationError)(fault.message)


def is_busy(fault: Fault | None) -> bool:
    """Whether there was no place."""
    return fault is not None and fault.code == "engine_busy"


def passes(fault: Fault | None) -> bool:
    """Whether trying again may help, here or elsewhere."""
    return fault is not None and fault.code in PASSING
