"""Every error that csm-plugin raises on purpose.

    CSMError
    ├── InputError (ValueError)      what was passed cannot be used; nothing was spent
    │   ├── TextError                empty, too long, or nothing speakable in it
    │   ├── AudioError               wrong shape, rate, length, or not finite
    │   ├── VoiceError               no such voice
    │   └── SettingsError            unknown or out-of-range setting
    ├── CheckpointError              the model cannot be loaded
    │   ├── CheckpointNotFound       no such name, folder or hub id
    │   ├── CheckpointAccessError    gated, or the hub cannot be reached
    │   └── CheckpointFormatError    corrupt, incomplete, or not safetensors
    ├── MissingExtraError (ImportError)  an optional part of the package is not installed
    ├── ContextFullError             the text does not fit into the model's context
    ├── EngineBusyError              no free row and the queue is full; `retry_after_s`
    ├── EngineClosedError            the engine, or the conversation, was closed
    ├── EngineUnreachableError       the server that the engine runs in cannot be reached
    ├── ReaderStalledError           nobody took the sound while others waited for the row
    └── GenerationError              the model failed while speaking; `__cause__` tells

A message says what was wrong, what was given, what is allowed and what to do. It never holds spoken text, audio or
keys.
"""

from __future__ import annotations


class CSMError(Exception):
    """Base of every error that csm-plugin raises on purpose."""


class InputError(CSMError, ValueError):
    """What was passed cannot be used; nothing was spent on it."""


class TextError(InputError):
    """The text is empty, too long, or holds nothing that can be spoken."""


class AudioError(InputError):
    """The audio has the wrong shape, rate or length, or is not finite."""


class VoiceError(InputError):
    """There is no such voice."""


class SettingsError(InputError):
    """A setting is unknown or out of range."""


class CheckpointError(CSMError):
    """The model cannot be loaded."""


class CheckpointNotFound(CheckpointError):
    """There is no checkpoint of that name, folder or hub id."""


class CheckpointAccessError(CheckpointError):
    """The checkpoint exists but cannot be fetched: gated, or the hub is out of reach."""


class CheckpointFormatError(CheckpointError):
    """The checkpoint is corrupt, incomplete, or not in safetensors format."""


class MissingExtraError(CSMError, ImportError):
    """An optional part of the package is not installed; the message holds the command that installs it."""


class ContextFullError(CSMError):
    """The text does not fit into the model's context, whatever is evicted."""


class EngineBusyError(CSMError):
    """Every row is speaking and the queue is full.

    Attributes:
        retry_after_s: seconds after which a place is likely to be free.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineClosedError(CSMError):
    """The engine, or this conversation, was closed."""


class EngineUnreachableError(CSMError):
    """The server that the engine runs in cannot be reached, or went away and none took over in time."""


class ReaderStalledError(CSMError):
    """Nobody took an utterance's sound for a long time while others waited for its row."""


class GenerationError(CSMError):
    """The model failed while speaking; `__cause__` holds what happened."""
