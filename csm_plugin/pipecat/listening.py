"""Takes the user's turns into a conversation's context while the LLM thinks about the reply."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    LLMContextUserTurnFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from csm_plugin.errors import CSMError
from csm_plugin.pipecat.user_turn import HeardTurn, UserTurn

if TYPE_CHECKING:
    from csm_plugin.interface import SpeechConversation


WORDS_WITHIN_S = 0.25
"""How long after the end of a turn its words may take."""

MAX_FRAMES = 8


class Listening:
    """Follows the user's turn and hands it to the conversation when it is understood. For one event loop.

    Args:
        clock: seconds on a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: deque[int] = deque(maxlen=MAX_FRAMES)  # frames that said what was understood
        self.texts_come = False
        """Whether somebody says what was understood."""
        self.forget()

    def forget(self) -> None:
        """Begin anew: what was said so far is nobody's business any more."""
        self._turn = UserTurn()
        self._understood: str | None = None
        self._is_open = False  # a turn of which no words are known
        self._ended_s: float | None = None  # when that turn ended

    @property
    def is_due(self) -> bool:
        """Whether there is a turn that was understood and not taken in yet."""
        return self._understood is not None

    def observe(self, frame: Frame) -> None:
        """Take in what passes by; frames that are not about the user are ignored."""
        self._turn.observe(frame)
        if isinstance(frame, UserStartedSpeakingFrame):
            self._is_open, self._ended_s = True, None
        elif isinstance(frame, UserStoppedSpeakingFrame) and self._is_open:
            self._ended_s = self._clock()

    @property
    def awaits_words(self) -> bool:
        """Whether a turn has begun of which no words are known."""
        return self._is_open

    @property
    def ends_with_a_reply(self) -> bool:
        """Whether a reply's beginning is what ends the user's turn, as nobody says what was understood."""
        return not self.texts_come and not (self._is_open and self._ended_s is None)

    @property
    def words_are_due(self) -> bool:
        """Whether a turn has just ended, and what was understood of it will be told in a moment."""
        return self._ended_s is not None and self._clock() - self._ended_s < WORDS_WITHIN_S

    @property
    def heard_any(self) -> bool:
        """Whether there may be speech to the turn."""
        return self._turn.is_there

    def understand(self, frame: LLMContextUserTurnFrame) -> None:
        """Note what was understood of the turn; once, whether the frame was seen far off or has come here."""
        if frame.id in self._known:
            return
        self._known.append(frame.id)
        self.texts_come = True
        self._is_open, self._ended_s = False, None
        text = frame.text
        self._understood = text if self._understood is None else f"{self._understood} {text}"

    def take(self) -> HeardTurn | None:
        """End the user's turn, as far as it was understood, and return it; None if there is no speech to it."""
        text, self._understood = self._understood, None
        return self._turn.take(text)

    async def hand_over(self, turn: HeardTurn, talk: SpeechConversation, speaker: int) -> bool:
        """Let the conversation encode a turn; False if it refuses. Resampling leaves the loop alone."""
        try:
            await asyncio.to_thread(talk.listen, turn.text, turn.pcm, turn.sample_rate, speaker)
        except CSMError as error:
            logger.warning(f"the user's turn is left out of the context: {type(error).__name__}: {error}")
            return False
        return True


class Understanding(BaseObserver):
    """Tells what was understood of a turn when the user aggregator says so.

    The frame that says so waits behind the LLM's whole answer where that was begun before the turn was over, and an
    interruption drops it. A pipeline may have several aggregators: the one of which frames come by is ours. Whoever
    pushes a frame first made it, the others pass it on.

    Args:
        tell: is called with each such frame, and with whether it is known to be of our aggregator.
    """

    def __init__(self, tell: Callable[[LLMContextUserTurnFrame, bool], None]) -> None:
        super().__init__()
        self._tell = tell
        self._sources: OrderedDict[int, FrameProcessor] = OrderedDict()  # of the last frames
        self._ours: FrameProcessor | None = None

    async def on_push_frame(self, data: FramePushed) -> None:
        """Notice a turn's words on their way down the pipeline."""
        if not isinstance(data.frame, LLMContextUserTurnFrame) or data.direction is not FrameDirection.DOWNSTREAM:
            return
        if data.frame.id in self._sources:
            return
        self._sources[data.frame.id] = data.source
        while len(self._sources) > MAX_FRAMES:
            self._sources.popitem(last=False)
        if self._ours in (None, data.source):
            self._tell(data.frame, self._ours is data.source)

    def come_by(self, frame: LLMContextUserTurnFrame) -> None:
        """Note that a frame has come to the service."""
        self._ours = self._sources.get(frame.id, self._ours)
