"""A server's errors as the engine would raise them."""

from __future__ import annotations

from csm_plugin.client.messages import Fault
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

KINDS: dict[str, type[CSMError]] = {
    "bad_text": TextError,
    "bad_voice": VoiceError,
    "bad_input": InputError,
    "context_full": ContextFullError,
    "engine_closed": EngineClosedError,
    "reader_stalled": ReaderStalledError,
}
PASSING = frozenset({"engine_closed", "loading", "restarting", "draining", "out_of_memory", "closed", "failed"})
"""Codes of what another server, or the same one a moment later, can do."""


def error_of(fault: Fault) -> CSMError:
    """Return the error that a fault stands for."""
    if fault.code == "engine_busy":
        return EngineBusyError(fault.message, fault.retry_after_s or 1.0)
    return KINDS.get(fault.code, GenerationError)(fault.message)


def is_busy(fault: Fault | None) -> bool:
    """Whether there was no place."""
    return fault is not None and fault.code == "engine_busy"


def passes(fault: Fault | None) -> bool:
    """Whether trying again may help, here or elsewhere."""
    return fault is not None and fault.code in PASSING
