"""The messages that the server sends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from csm_plugin.protocol.shapes import Fault, Frames, Number, Piece, Shape, WordTime
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ

PROTOCOL = 1


class Reply(Shape):
    """What a server sends; what a later one adds to it is passed over."""

    model_config = ConfigDict(extra="ignore")


class Hello(Reply):
    """The first message: what this server is."""

    type: Literal["hello"] = "hello"
    protocol: int = PROTOCOL
    model: str
    voices: list[str]
    device: str
    dtype: str
    codebooks: int
    max_conversations: int
    max_message_bytes: int
    sample_rate: int = SAMPLE_RATE_HZ
    frame_samples: int = FRAME_SAMPLES


class Opened(Reply):
    """A conversation is open."""

    type: Literal["opened"] = "opened"
    conversation: Number


class Began(Reply):
    """A piece begins to be spoken. `text` is what the model reads."""

    type: Literal["began"] = "began"
    conversation: Number
    number: Number
    piece: Piece = 0
    text: str


class Words(Reply):
    """Words that end in the sound that comes next."""

    type: Literal["words"] = "words"
    conversation: Number
    number: Number
    piece: Piece = 0
    words: list[WordTime]


class Ended(Reply):
    """A piece is over, for the reason that `Utterance.finish_reason` gives."""

    type: Literal["ended"] = "ended"
    conversation: Number
    number: Number
    piece: Piece = 0
    reason: Literal["end", "length", "cancelled", "error"]
    frames: Frames
    error: Fault | None = None


class Done(Reply):
    """All pieces of a number are over."""

    type: Literal["done"] = "done"
    conversation: Number
    number: Number


class Heard(Reply):
    """The context has the other side's turn, or cannot have it."""

    type: Literal["heard"] = "heard"
    conversation: Number
    number: Number
    text: str = ""
    frames: Frames = 0
    error: Fault | None = None


class Held(Reply):
    """A segment in the context: how much of it is kept."""

    number: Number
    piece: Piece = 0
    text: str
    frames: Frames
    """All frames, `lead` among them: silent ones at the start that were not sent as sound."""
    lead: Frames = 0


class Context(Reply):
    """What the context holds, oldest first. Sent after each change to conversations with `ledger`."""

    type: Literal["context"] = "context"
    conversation: Number
    segments: list[Held]
    used: int = 0
    """Positions of the model's context that are taken, the voice prompt's among them."""
    positions: int = 0
    """How many it has. Old segments leave before it is full."""


class Failed(Reply):
    """A message could not be followed; nothing was changed by it."""

    type: Literal["failed"] = "failed"
    conversation: Number | None = None
    number: Number | None = None
    error: Fault


class Closed(Reply):
    """A conversation is no more: it was closed, could not be opened, or its engine died."""

    type: Literal["closed"] = "closed"
    conversation: Number
    error: Fault | None = None


class VoicesChanged(Reply):
    """Which voices there are now."""

    type: Literal["voices"] = "voices"
    voices: list[str]


class Stats(Reply):
    """What the engine is doing, about once a second while it changes."""

    type: Literal["stats"] = "stats"
    live_rows: int
    free_rows: int
    queued: int
    frames_stepped: int
    conversations: int


class Draining(Reply):
    """The server is about to end: what is being spoken is finished, nothing new is begun."""

    type: Literal["draining"] = "draining"


class Pong(Reply):
    """Answers a `ping`."""

    type: Literal["pong"] = "pong"


ServerMessage = Annotated[
    Hello
    | Opened
    | Began
    | Words
    | Ended
    | Done
    | Heard
    | Context
    | Failed
    | Closed
    | VoicesChanged
    | Stats
    | Draining
    | Pong,
    Field(discriminator="type"),
]
