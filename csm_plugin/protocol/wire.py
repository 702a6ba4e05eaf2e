"""The binary messages of `/v1/stream`: a header of 16 bytes, little-endian, and bytes.

| offset | size | |
|---|---|---|
| 0 | 1 | kind: 1 sound, 2 codes, 3 codes of silent frames at the start that are not sent as sound |
| 1 | 1 | 0 |
| 2 | 2 | piece |
| 4 | 4 | conversation |
| 8 | 4 | number |
| 12 | 4 | start: for sound the sample, for codes the frame of the piece that the first one is |

Sound from the server is 16-bit samples, or one Opus packet of 20 ms; to the server what `listen` or `configure` says.
Codes are unsigned 16-bit, all codebooks of a frame together. Sound and codes that go to the server are kept under
their number until a message uses them; what does not fit into one message is sent in several.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csm_plugin.errors import AudioError, InputError

HEADER = struct.Struct("<BBHIII")


class Kind(enum.IntEnum):
    """What a binary message holds."""

    SOUND = 1
    CODES = 2
    LEAD = 3


@dataclass(frozen=True, slots=True)
class Packet:
    """A binary message."""

    kind: Kind
    conversation: int
    number: int
    piece: int
    start: int
    payload: bytes

    def pack(self) -> bytes:
        """Return it as it is sent."""
        return HEADER.pack(self.kind, 0, self.piece, self.conversation, self.number, self.start) + self.payload

    @classmethod
    def unpack(cls, message: bytes) -> Packet:
        """Read a message.

        Raises:
            ValueError: it is none of ours.
        """
        if len(message) < HEADER.size:
            raise ValueError(f"a binary message has at least {HEADER.size} bytes")
        kind, zero, piece, conversation, number, start = HEADER.unpack_from(message)
        if kind not in Kind.__members__.values() or zero:
            raise ValueError("a binary message is of kind 1, 2 or 3")
        return cls(Kind(kind), conversation, number, piece, start, message[HEADER.size :])


def pack_codes(codes: npt.NDArray[np.int32]) -> bytes:
    """Return codes [n, codebooks] as they are sent."""
    return codes.astype("<u2").tobytes()


def unpack_codes(payload: bytes, codebooks: int) -> npt.NDArray[np.int32]:
    """Return int32 [n, codebooks].

    Raises:
        InputError: not a whole number of frames.
    """
    if len(payload) % (2 * codebooks):
        raise InputError(f"the codes are no whole number of frames; a frame has {2 * codebooks} bytes")
    return np.frombuffer(payload, "<u2").astype(np.int32).reshape(-1, codebooks)


def unpack_samples(payload: bytes, encoding: str = "s16") -> npt.NDArray[np.int16] | npt.NDArray[np.float32]:
    """Return [samples] of 16-bit or float sound.

    Raises:
        AudioError: not a whole number of samples.
    """
    if len(payload) % (2 if encoding == "s16" else 4):
        raise AudioError(f"the sound is no whole number of samples of {encoding}")
    if encoding == "s16":
        return np.frombuffer(payload, "<i2").astype(np.int16)
    return np.frombuffer(payload, "<f4").astype(np.float32)


def split(payload: bytes, size: int) -> Iterator[bytes]:
    """Cut bytes into pieces of at most `size`; no bytes are one piece."""
    for start in range(0, max(1, len(payload)), size):
        yield payload[start : start + size]
