"""The messages of `/v1/stream`: text frames of JSON, told apart by `type`. `wire.py` describes the binary ones.

A socket carries many conversations. The client numbers them, and in each it numbers what is said, by either side, with
rising numbers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from csm_plugin.conversation import Word
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling

PROTOCOL = 1
SUBPROTOCOL = "csm.v1"

Number = Annotated[int, Field(ge=0, lt=2**32)]
Piece = Annotated[int, Field(ge=0, lt=2**16)]
Frames = Annotated[int, Field(ge=0, lt=2**31)]
Speaker = Annotated[int, Field(ge=0, le=99)]
Name = Annotated[str, Field(max_length=256)]
Text = Annotated[str, Field(max_length=16_384)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Shape(BaseModel):
    """What all messages and their parts have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class SamplingFields(Shape):
    """How codes are drawn, as `Sampling` takes it."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.9
    top_k: Annotated[int, Field(ge=1, le=65_536)] = 50
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    max_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    trim_silence: bool = True

    def sampling(self) -> Sampling:
        """Return it as the engine takes it."""
        return Sampling(**self.model_dump())

    @classmethod
    def of(cls, sampling: Sampling) -> SamplingFields:
        """Write a `Sampling` down."""
        return cls(
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            seed=sampling.seed,
            max_seconds=sampling.max_seconds,
            trim_silence=sampling.trim_silence,
        )


class WordTime(Shape):
    """A word and when it is spoken, in seconds since its piece began."""

    text: Text
    start_s: Seconds
    end_s: Seconds

    def word(self) -> Word:
        """Return it as the engine has it."""
        return Word(self.text, self.start_s, self.end_s)

    @classmethod
    def of(cls, word: Word) -> WordTime:
        """Write a `Word` down."""
        return cls(text=word.text, start_s=max(0.0, word.start_s), end_s=max(0.0, word.end_s))


class UploadedVoice(Shape):
    """A voice prompt whose sound was sent up under a number, as `f32` at 24 kHz."""

    name: Name
    text: Text
    number: Number


class Fault(Shape):
    """What went wrong. `code` is one of those that the HTTP routes give; `retry_after_s` tells when trying helps."""

    message: str
    code: str
    retry_after_s: float | None = None


# What a client sends.


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
    words: list[WordTime] = []
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
    """Add the other side's turn to the context. Its sound was sent up before."""

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

# What the server sends.


class Hello(Shape):
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


class Opened(Shape):
    """A conversation is open."""

    type: Literal["opened"] = "opened"
    conversation: Number


class Began(Shape):
    """A piece begins to be spoken. `text` is what the model reads."""

    type: Literal["began"] = "began"
    conversation: Number
    number: Number
    piece: Piece = 0
    text: str


class Words(Shape):
    """Words that end in the sound that comes next."""

    type: Literal["words"] = "words"
    conversation: Number
    number: Number
    piece: Piece = 0
    words: list[WordTime]


class Ended(Shape):
    """A piece is over, for the reason that `Utterance.finish_reason` gives."""

    type: Literal["ended"] = "ended"
    conversation: Number
    number: Number
    piece: Piece = 0
    reason: Literal["end", "length", "cancelled", "error"]
    frames: Frames
    error: Fault | None = None


class Done(Shape):
    """All pieces of a number are over."""

    type: Literal["done"] = "done"
    conversation: Number
    number: Number


class Heard(Shape):
    """The context has the other side's turn, or cannot have it."""

    type: Literal["heard"] = "heard"
    conversation: Number
    number: Number
    text: str = ""
    frames: Frames = 0
    error: Fault | None = None


class Held(Shape):
    """A segment in the context: how much of it is kept."""

    number: Number
    piece: Piece = 0
    text: str
    frames: Frames
    """All frames, `lead` among them: silent ones at the start that were not sent as sound."""
    lead: Frames = 0


class Context(Shape):
    """What the context holds, oldest first. Sent after each change to conversations with `ledger`."""

    type: Literal["context"] = "context"
    conversation: Number
    segments: list[Held]


class Failed(Shape):
    """A message could not be followed; nothing was changed by it."""

    type: Literal["failed"] = "failed"
    conversation: Number | None = None
    number: Number | None = None
    error: Fault


class Closed(Shape):
    """A conversation is no more: it was closed, could not be opened, or its engine died."""

    type: Literal["closed"] = "closed"
    conversation: Number
    error: Fault | None = None


class VoicesChanged(Shape):
    """Which voices there are now."""

    type: Literal["voices"] = "voices"
    voices: list[str]


class Stats(Shape):
    """What the engine is doing, about once a second while it changes."""

    type: Literal["stats"] = "stats"
    live_rows: int
    free_rows: int
    queued: int
    frames_stepped: int
    conversations: int


class Draining(Shape):
    """The server is about to end: what is being spoken is finished, nothing new is begun."""

    type: Literal["draining"] = "draining"


class Pong(Shape):
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

CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)
SERVER: TypeAdapter[ServerMessage] = TypeAdapter(ServerMessage)


def schema() -> dict[str, Any]:
    """Return the JSON schema of all messages."""
    _, found = TypeAdapter.json_schemas(
        [("client", "validation", CLIENT), ("server", "serialization", SERVER)],
        title="csm-plugin /v1/stream", ref_template="#/$defs/{model}",
    )  # fmt: skip
    return found
