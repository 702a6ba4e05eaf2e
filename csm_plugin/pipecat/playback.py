"""Where the listener is in what was spoken: sound that was handed over, and how much of it was heard."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container

from pipecat.frames.frames import Frame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

MAX_CONTEXTS = 64
"""Audio contexts that are remembered; older ones count as heard."""

MAX_LAG_S = 1.0
"""More than this the sound is not taken to lag behind the estimate: a transport that plays nothing must not stop it."""

NOTHING_S = 1e-6
"""Less than this is not sound that was left out, but what sums of seconds are off."""


class PlaybackPosition:
    """How much of a service's sound its listener has heard. For one event loop; nothing here blocks.

    By itself it estimates: sound is heard at its own pace, from the moment at which it is handed over or at which the
    sound before it ends. That is right but for the transport's delay. A `PlaybackTracker` behind the transport makes it
    exact as far as the transport knows; where the far end reports more, as Twilio's marks do, `follow` adds that.

    Args:
        clock: seconds on a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._handed_s: OrderedDict[str, float] = OrderedDict()
        self._left_s: dict[str, float] = {}
        self._tracked = False
        self._under_way: Callable[[], float] = lambda: 0.0
        self._ends_s = 0.0  # when the last of it will have been heard, if the estimate is right

    @property
    def ahead_s(self) -> float:
        """Estimate of how much of the sound is still to be heard, in seconds."""
        return max(0.0, self._ends_s - self._clock())

    @property
    def unheard_s(self) -> float:
        """How much of the sound is still to be heard, in seconds; with what is known of the transport's delay."""
        estimate = self.ahead_s
        measured = sum(self._unheard().values())
        return estimate + min(max(0.0, measured - estimate), MAX_LAG_S)

    def hand_over(self, context_id: str, seconds: float) -> None:
        """Note that more sound of an audio context went to the transport."""
        self._handed_s[context_id] = self._handed_s.get(context_id, 0.0) + seconds
        while len(self._handed_s) > MAX_CONTEXTS:
            gone, _ = self._handed_s.popitem(last=False)
            self._left_s.pop(gone, None)
        self._ends_s = max(self._ends_s, self._clock()) + seconds

    def leave(self, context_id: str, seconds: float) -> None:
        """Note that more sound of an audio context left the transport; from now on the position isn't estimated."""
        self._tracked = True
        if context_id in self._handed_s:
            self._left_s[context_id] = self._left_s.get(context_id, 0.0) + seconds

    def follow(self, under_way: Callable[[], float]) -> None:
        """Count what is under way behind the transport as not heard yet.

        Args:
            under_way: tells how many seconds of sound left the transport and were not played by the far end yet, as a
                serializer knows from the marks that a telephone network sends back. Called when somebody interrupts.
        """
        self._under_way = under_way

    def heard_s(self, context_id: str) -> float:
        """How many seconds of an audio context's sound were heard; all of it where it isn't remembered."""
        handed_s = self._handed_s.get(context_id)
        return float("inf") if handed_s is None else handed_s - self._unheard().get(context_id, 0.0)

    def unheard_in(self, context_id: str) -> float:
        """How many seconds of an audio context's sound were not heard yet."""
        return self._unheard().get(context_id, 0.0)

    def interrupt(self, kept: Container[str] = ()) -> None:
        """Note that the transport drops what was not heard yet, except for some audio contexts."""
        for context_id, unheard_s in self._unheard().items():
            if context_id not in kept:
                self._handed_s[context_id] -= unheard_s
                self._ends_s -= unheard_s

    def _unheard(self) -> dict[str, float]:
        """Seconds that were not heard yet, by audio context; only contexts that have some."""
        unheard: dict[str, float] = {}
        behind_s = max(0.0, self._under_way()) + (0.0 if self._tracked else self.ahead_s)
        for context_id, handed_s in reversed(self._handed_s.items()):
            arrived_s = min(handed_s, self._left_s.get(context_id, 0.0)) if self._tracked else handed_s
            late_s = min(arrived_s, behind_s)
            behind_s -= late_s
            if handed_s - arrived_s + late_s > NOTHING_S:
                unheard[context_id] = handed_s - arrived_s + late_s
        return unheard


class PlaybackTracker(FrameProcessor):
    """Tells a service what was played. Put it right behind `transport.output()`, before the assistant aggregator.

    Args:
        position: `CSMTTSService.playback`.
    """

    def __init__(self, position: PlaybackPosition) -> None:
        super().__init__(enable_direct_mode=True)
        self._position = position
        self._context_id: str | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Count the sound of each audio context, and pass everything on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSStartedFrame):
            self._context_id = frame.context_id
        elif isinstance(frame, TTSStoppedFrame):
            self._context_id = None
        elif isinstance(frame, TTSAudioRawFrame) and self._context_id is not None:
            seconds = len(frame.audio) / (2 * frame.num_channels * frame.sample_rate)
            self._position.leave(self._context_id, seconds)
        await self.push_frame(frame, direction)
