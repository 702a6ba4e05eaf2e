"""A session's audio input, listened to on its way."""

from __future__ import annotations

from collections.abc import Callable

from livekit import rtc
from livekit.agents.voice import io


class Tap(io.AudioInput):
    """Passes the session's audio input on, and tells somebody of it.

    Args:
        source: the input.
        hear: is told of every frame.
    """

    def __init__(self, source: io.AudioInput, hear: Callable[[rtc.AudioFrame], None]) -> None:
        super().__init__(label="CSM", source=source)
        self.hear: Callable[[rtc.AudioFrame], None] | None = hear
        """None if nobody wants to be told any more."""

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        if self.hear is not None:
            self.hear(frame)
        return frame
