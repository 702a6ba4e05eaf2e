"""The messages of `/v1/stream`: text frames of JSON, told apart by `type`. `wire.py` describes the binary ones.

A socket carries many conversations. The client numbers them, and in each it numbers what is said, by either side, with
rising numbers.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from csm_plugin.protocol.replies import (
    PROTOCOL,
    Began,
    Closed,
    Context,
    Done,
    Draining,
    Ended,
    Failed,
    Heard,
    Held,
    Hello,
    Opened,
    Pong,
    ServerMessage,
    Stats,
    VoicesChanged,
    Words,
)
from csm_plugin.protocol.requests import (
    Append,
    Cancel,
    ClientMessage,
    Close,
    Commit,
    Configure,
    Interrupt,
    Listen,
    Open,
    Ping,
    Recall,
    Speak,
    Taken,
)
from csm_plugin.protocol.shapes import (
    Fault,
    SamplingFields,
    UploadedVoice,
    WordTime,
)

__all__ = [
    "CLIENT",
    "PROTOCOL",
    "SERVER",
    "SUBPROTOCOL",
    "Append",
    "Began",
    "Cancel",
    "ClientMessage",
    "Close",
    "Closed",
    "Commit",
    "Configure",
    "Context",
    "Done",
    "Draining",
    "Ended",
    "Failed",
    "Fault",
    "Heard",
    "Held",
    "Hello",
    "Interrupt",
    "Listen",
    "Open",
    "Opened",
    "Ping",
    "Pong",
    "Recall",
    "SamplingFields",
    "ServerMessage",
    "Speak",
    "Stats",
    "Taken",
    "UploadedVoice",
    "VoicesChanged",
    "WordTime",
    "Words",
    "schema",
]

SUBPROTOCOL = "csm.v1"

CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)
SERVER: TypeAdapter[ServerMessage] = TypeAdapter(ServerMessage)


def schema() -> dict[str, Any]:
    """Return the JSON schema of all messages."""
    _, found = TypeAdapter.json_schemas(
        [("client", "validation", CLIENT), ("server", "serialization", SERVER)],
        title="csm-plugin /v1/stream", ref_template="#/$defs/{model}",
    )  # fmt: skip
    return found
