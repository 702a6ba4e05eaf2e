"""The messages that a client sends."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from csm_plugin.protocol.shapes import (
    Frames,
    Name,
    Number,
    Piece,
    SamplingFields,
    Seconds,
    Shape,
    Speaker,
    Text,
    UploadedVoice,
    WordTime,
)
from csm_plugin.settings import SAMPLE_RATE_HZ


class Open(Shape):
    """Open a conversation.

    With `ledger` the server also sends codes, and after each change what the context holds, so that the client can
    resume the conversation elsewhere: it opens one there, recalls every segment, and goes on. `gone_frames` counts the
    frames of the current turn that were heard and are not recalled.
    """

    type: Literal["open"] = "open"
    conversation: Number
    voice: Name | None = None
    speaker: Speaker = 0
    sampling: SamplingFields = SamplingFields()
    audio: Literal["pcm", "opus"] = "pcm"
    window: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """How many frames the server may send beyond those that were `taken`; without it, as fast as the socket takes."""
    ledger: bool = False
    gone_frames: Frames = 0


class Recall(Shape):
    """Put a segment of an earlier conversation into the context. Its codes were sent up before."""

    type: Literal["recall"] = "recall"
    conversation: Number
    number: Number
    piece: Piece = 0
    speaker: Speaker
    text: Text
    lead: Frames = 0
    words: list[WordTime] = Field(default_factory=list)
    current: bool = False
    """Whether it belongs to the current turn, which an interruption may still cut."""
    taken: Frames | None = None
    """How much of its sound was taken so far, if somebody still takes it."""


class Speak(Shape):
    """Say a text in one piece, after everything that is being said."""

    type: Literal["speak"] = "speak"
    conversation: Number
    number: Number
    text: Text
    sampling: SamplingFields | None = None
    normalize: bool = True


class Append(Shape):
    """Add to a text that is being written; it is spoken sentence by sentence, the first clause as soon as it can be."""

    type: Literal["append"] = "append"
    conversation: Number
    number: Number
    text: Text


class Commit(Shape):
    """The text that was appended to is complete."""

    type: Literal["commit"] = "commit"
    conversation: Number
    number: Number


class Listen(Shape):
    """Add the other side's turn to the context. Its sound was sent up before.

    What is spoken before `heard` answers it overtakes it; the turn then takes its place before that.
    """

    type: Literal["listen"] = "listen"
    conversation: Number
    number: Number
    text: Text = ""
    sample_rate: Annotated[int, Field(ge=1, le=1_000_000)] = SAMPLE_RATE_HZ
    encoding: Literal["s16", "f32"] = "s16"
    speaker: Speaker = 1


class Taken(Shape):
    """So many frames of a piece were taken by whoever listens; the others count as not heard if it is cancelled."""

    type: Literal["taken"] = "taken"
    conversation: Number
    number: Number
    piece: Piece = 0
    frames: Frames


class Cancel(Shape):
    """Stop saying something, whether it has begun or not."""

    type: Literal["cancel"] = "cancel"
    conversation: Number
    number: Number


class Interrupt(Shape):
    """Stop speaking, and keep of the current turn only what was heard.

    `heard_s` counts the turn's sound from its first frame; without it, all that was taken was heard.
    """

    type: Literal["interrupt"] = "interrupt"
    conversation: Number
    heard_s: Seconds | None = None


class Configure(Shape):
    """Change how the conversation speaks from the next `speak` on; what is left out stays."""

    type: Literal["configure"] = "configure"
    conversation: Number
    voice: Name | UploadedVoice | None = None
    speaker: Speaker | None = None
    sampling: SamplingFields | None = None

    @model_serializer(mode="wrap")
    def _what_changes(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is left as it is: a voice that is null would be none from now on."""
        said = {"type", *self.model_fields_set}
        return {name: value for name, value in write(self).items() if name in said}


class Close(Shape):
    """End a conversation."""

    type: Literal["close"] = "close"
    conversation: Number


class Ping(Shape):
    """Ask for a `pong`; keeps a socket on which nothing is said from being closed."""

    type: Literal["ping"] = "ping"


ClientMessage = Annotated[
    Open | Recall | Speak | Append | Commit | Listen | Taken | Cancel | Interrupt | Configure | Close | Ping,
    Field(discriminator="type"),
]
