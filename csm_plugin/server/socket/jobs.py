"""What a conversation on a socket has under way, in the order in which its client asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from csm_plugin.engine.transfer import Key
from csm_plugin.errors import CSMError

if TYPE_CHECKING:
    from csm_plugin.conversation import Turn, Utterance


@dataclass(slots=True)
class SpeechJob:
    """A piece that was handed to the engine, or that it refused.

    Args:
        stopped: whether the client wants no more of it.
    """

    key: Key
    utterance: Utterance | CSMError
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class TurnJob:
    """A turn of the other side that was handed to the engine, or that it refused."""

    key: Key
    turn: Turn | CSMError


@dataclass(frozen=True, slots=True)
class Complete:
    """All pieces of a number were handed over."""

    number: int


@dataclass(frozen=True, slots=True)
class Report:
    """Something changed the context."""


Job = SpeechJob | TurnJob | Complete | Report
