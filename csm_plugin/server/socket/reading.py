"""What comes over a socket, read: a message, or one that cannot be used, and whose it would have been."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from csm_plugin.protocol import messages as m
from csm_plugin.protocol.shapes import Number
from csm_plugin.protocol.wire import HEADER, Packet
from csm_plugin.server.shared.errors import Refusal

MOST_DIGITS: Final = 20
_NUMBER: Final = TypeAdapter(Number)


class Rejected(Exception):
    """The client broke the protocol; the socket closes with the reason."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A message that cannot be used; what was said and asked for beside it goes on.

    Args:
        opens: whether it would have opened a conversation.
        conversation: to which it belongs, None if that cannot be told.
        number: what of it, likewise.
        error: what is wrong with it.
    """

    opens: bool
    conversation: int | None
    number: int | None
    error: Refusal


def read_message(text: str) -> m.ClientMessage | Unusable:
    """Read a text message.

    Raises:
        Rejected: it is no JSON object.
    """
    try:
        return m.CLIENT.validate_json(text)
    except ValidationError as error:
        fields, problem = _fields_of(text), error
    try:  # JSON that holds half a character has no fields yet, and no place at which it is wrong
        m.CLIENT.validate_python(fields)
    except ValidationError as error:
        problem = error
    first = problem.errors(include_input=False, include_context=False, include_url=False)[0]
    code = "bad_text" if first["loc"][-1:] == ("text",) else "bad_input"
    return Unusable(
        opens=fields.get("type") == "open",
        conversation=_number_in(fields, "conversation"),
        number=_number_in(fields, "number"),
        error=Refusal(_told(first), status=422, code=code),
    )


def read_packet(message: bytes) -> Packet | Unusable:
    """Read a binary message.

    Raises:
        Rejected: it is shorter than its header.
    """
    try:
        return Packet.unpack(message)
    except ValueError as error:
        if len(message) < HEADER.size:
            raise Rejected(str(error)) from None
        _, _, _, conversation, number, _ = HEADER.unpack_from(message)
        return Unusable(False, conversation, number, Refusal(str(error), status=422, code="bad_input"))


def _fields_of(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text, parse_int=lambda digits: int(digits[: MOST_DIGITS + 1]))
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise Rejected("a message is a JSON object in text, or binary; see /v1/stream/schema.json")
    return fields


def _number_in(fields: dict[str, Any], name: str) -> int | None:
    try:
        return _NUMBER.validate_python(fields.get(name), strict=True)
    except ValidationError:
        return None


def _told(problem: Any) -> str:
    """Say what is wrong with a message, without what is in it."""
    place = ".".join(str(part)[:24] for part in problem["loc"])
    return f"{place or 'the message'}: {problem['msg']}".encode("ascii", "replace").decode()[:240]
