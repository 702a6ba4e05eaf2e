"""What went wrong in the terms of LiveKit: only an `APIError` is retried, reported and falls back."""

from __future__ import annotations

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from csm_plugin.errors import (
    CheckpointError,
    ContextFullError,
    CSMError,
    EngineBusyError,
    EngineClosedError,
    EngineUnreachableError,
    GenerationError,
    InputError,
    ReaderStalledError,
    VoiceError,
)

DOWNLOAD = "python -m livekit.agents download-files"


def api_error(error: Exception) -> APIError:
    """Return the `APIError` for whatever an engine raised; one that is one already comes back as it is.

    | raised | becomes | tried again |
    | --- | --- | --- |
    | `TimeoutError` | `APITimeoutError` | yes |
    | `EngineUnreachableError`, `OSError` | `APIConnectionError` | yes |
    | `EngineBusyError` | `APIStatusError` 503 | yes |
    | `GenerationError` | `APIStatusError` 500 | yes |
    | `ReaderStalledError` | `APIStatusError` 408 | yes |
    | `VoiceError` | `APIStatusError` 404 | no |
    | any other `InputError`, `ContextFullError` | `APIStatusError` 422 | no |
    | `EngineClosedError`, `CheckpointError` | `APIConnectionError` | no |
    | any other | `APIError` | no |

    The cause stays in `__cause__` if the caller raises it `from` the error.
    """
    match error:
        case APIError():
            return error
        case TimeoutError():
            return APITimeoutError("the engine did not answer in time")
        case OSError():
            return APIConnectionError("the engine cannot be reached")
        case EngineUnreachableError():
            return APIConnectionError(str(error))
        case EngineBusyError():
            body = {"retry_after_s": error.retry_after_s}
            return APIStatusError(str(error), status_code=503, body=body, retryable=True)
        case GenerationError():
            return APIStatusError(str(error), status_code=500, retryable=True)
        case ReaderStalledError():
            return APIStatusError(str(error), status_code=408, retryable=True)
        case VoiceError():
            return APIStatusError(str(error), status_code=404, retryable=False)
        case InputError() | ContextFullError():
            return APIStatusError(str(error), status_code=422, retryable=False)
        case EngineClosedError():
            return APIConnectionError(str(error), retryable=False)
        case CheckpointError():
            return APIConnectionError(f"{error}. Fetch the weights with: {DOWNLOAD}", retryable=False)
        case CSMError():
            return APIError(str(error), retryable=False)
        case _:
            return APIError(f"the engine failed ({type(error).__name__})", retryable=False)
