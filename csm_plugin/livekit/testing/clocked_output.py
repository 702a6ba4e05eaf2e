"""A loudspeaker that nobody hears: it plays in real time, and remembers what it played."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from livekit import rtc
from livekit.agents.voice import io


@dataclass(frozen=True, slots=True)
class Played:
    """One segment as it was played.

    Args:
        pcm: int16 [samples], what was played of it and nothing more.
        sample_rate: in Hz.
        interrupted: whether more had been handed over.
        began_s: when its first sample was played, on the clock.
    """

    pcm: npt.NDArray[np.int16]
    sample_rate: int
    interrupted: bool
    began_s: float

    @property
    def seconds(self) -> float:
        """How much was played."""
        return len(self.pcm) / self.sample_rate


class ClockedOutput(io.AudioOutput):
    """Plays what it is given from the moment of the first frame, without gaps. For one event loop.

    Args:
        sample_rate: what it asks for, in Hz; None takes anything.
        clock: seconds since the epoch.
    """

    def __init__(self, *, sample_rate: int | None = None, clock: Callable[[], float] = lambda: time.time()) -> None:
        super().__init__(
            label="ClockedOutput", capabilities=io.AudioOutputCapabilities(pause=True), sample_rate=sample_rate
        )
        self._clock = clock
        self._frames: list[rtc.AudioFrame] = []
        self._handed_s = 0.0
        self._began_s = 0.0
        self._paused_s = 0.0  # of this segment, so far
        self._pause_began_s: float | None = None
        self._complete = False
        self._timer: asyncio.TimerHandle | None = None
        self.played: list[Played] = []
        """Segments that are over, oldest first."""
        self.longest_frame_s = 0.0

    @property
    def position_s(self) -> float:
        """How much of the current segment was played."""
        if not self._frames:
            return 0.0
        paused_s = 0.0 if self._pause_began_s is None else self._clock() - max(self._pause_began_s, self._began_s)
        return min(self._handed_s, max(0.0, self._clock() - self._began_s - self._paused_s - paused_s))

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Take a frame to play."""
        await super().capture_frame(frame)
        if not self._frames:
            self._began_s, self._paused_s = self._clock(), 0.0
            self.on_playback_started(created_at=self._began_s)
        self._frames.append(frame)
        self._handed_s += frame.duration
        self.longest_frame_s = max(self.longest_frame_s, frame.duration)

    def flush(self) -> None:
        """The segment is complete; it is over once it is played."""
        super().flush()
        if self._frames:
            self._complete = True
            self._wait()

    def clear_buffer(self) -> None:
        """Stop playing."""
        if self._frames:
            self._end(interrupted=True)

    def pause(self) -> None:
        """Stand still."""
        super().pause()
        if self._pause_began_s is None:
            self._pause_began_s = self._clock()
            if self._timer is not None:
                self._timer.cancel()

    def resume(self) -> None:
        """Go on."""
        super().resume()
        if self._pause_began_s is not None:
            if self._frames:
                self._paused_s += self._clock() - max(self._pause_began_s, self._began_s)
            self._pause_began_s = None
            if self._complete:
                self._wait()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._pause_began_s is None:
            left_s = self._handed_s - self.position_s
            self._timer = asyncio.get_running_loop().call_later(left_s, lambda: self._end(interrupted=False))

    def _end(self, *, interrupted: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        position_s = self.position_s if interrupted else self._handed_s
        rate = self._frames[0].sample_rate
        pcm = np.concatenate([np.frombuffer(frame.data, np.int16) for frame in self._frames])
        self.played.append(Played(pcm[: round(position_s * rate)], rate, interrupted, self._began_s))
        self._frames, self._handed_s, self._complete = [], 0.0, False
        self.on_playback_finished(playback_position=position_s, interrupted=interrupted)
