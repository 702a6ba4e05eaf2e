"""Where a muxer writes to: what can be sent at once, or a file that is finished first."""

from __future__ import annotations

import io


class Pipe(io.RawIOBase):
    """Collects what a muxer writes; cannot seek, as a response cannot."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: object) -> int:
        """Keep it until it is taken."""
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data

    def rest(self) -> bytes:
        """Return the same, at the end."""
        return self.take()


class File(io.BytesIO):
    """Keeps what a muxer writes until all of it is there; it may go back and write the length into the header."""

    def take(self) -> bytes:
        """Return nothing yet."""
        return b""

    def rest(self) -> bytes:
        """Return all of it."""
        return self.getvalue()
