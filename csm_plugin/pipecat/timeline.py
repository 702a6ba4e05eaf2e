"""What happened when in a conversation, turn by turn: who spoke, the first token, the first sound, the words."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    LLMContextAssistantTurnFrame,
    LLMContextUserTurnFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection

from csm_plugin.pipecat.turn import HeardWord, Stretch, Turn

MAX_TURNS = 256
MAX_WORDS = 2_000


class TurnTimeline(BaseObserver):
    """Records the turns of a conversation as they happen: `PipelineWorker(..., observers=[TurnTimeline()])`.

    Events:
        on_turn_changed(timeline, turn): something happened in a turn.

    Args:
        max_turns: how many are kept; the oldest go first.
    """

    def __init__(self, *, max_turns: int = MAX_TURNS) -> None:
        super().__init__(observe_every_push=False)
        self._turns: deque[Turn] = deque(maxlen=max_turns)
        self._count = 0
        self._answering: Turn | None = None
        self._register_event_handler("on_turn_changed")

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns, oldest first. They go on changing."""
        return tuple(self._turns)

    def draw(self, path: str | Path, *, last: int = 12) -> None:
        """Draw the last turns, one below the other, as a picture: PNG, SVG or PDF, by the path's suffix.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from csm_plugin.pipecat.timeline_picture import draw

        draw(self.turns[-last:], Path(path))

    async def on_push_frame(self, data: FramePushed) -> None:
        """Note what a frame tells. Frames that go both ways are read on their way down."""
        if data.direction is FrameDirection.DOWNSTREAM:
            turn = self._note(data.frame, data.timestamp / 1e9)
            if turn is not None:
                await self._call_event_handler("on_turn_changed", turn)

    def _note(self, frame: Frame, now_s: float) -> Turn | None:
        """Note a frame; return the turn that it changed."""
        match frame:
            case VADUserStartedSpeakingFrame():
                turn = self._asked()
                turn.user_speech.append(Stretch(now_s - frame.start_secs))
                return turn
            case VADUserStoppedSpeakingFrame():
                return next((turn for turn in self._turns if _end(turn.user_speech, now_s - frame.stop_secs)), None)
            case LLMContextUserTurnFrame():
                turn = self._asked()
                turn.user_text = f"{turn.user_text} {frame.text}".strip()
                return turn
            case LLMFullResponseStartFrame():
                self._answering = self._asked()
                return None
        if self._answering is None and isinstance(frame, AggregatedTextFrame):  # it speaks without having been asked
            self._answering = self._asked()
        answering = self._answering
        return answering if answering is not None and _note_answer(answering, frame, now_s) else None

    def _asked(self) -> Turn:
        """The turn that the user is in: the last one, or a new one if that was answered already."""
        if not self._turns or self._turns[-1].answered:
            self._count += 1
            self._turns.append(Turn(self._count))
        return self._turns[-1]


def _note_answer(turn: Turn, frame: Frame, now_s: float) -> bool:
    """Note a frame of the agent's answer in its turn; tell whether that changed it."""
    match frame:
        case TTSTextFrame() if len(turn.words) < MAX_WORDS:
            turn.words.append(HeardWord(frame.text, max(now_s, (frame.pts or 0) / 1e9)))
        case LLMTextFrame() if turn.first_token_s is None:
            turn.first_token_s = now_s
            turn.answered = True
        case AggregatedTextFrame() if frame.will_be_spoken and not isinstance(frame, TTSTextFrame):
            turn.said = f"{turn.said} {frame.text}".strip()
            turn.answered = True
        case TTSAudioRawFrame():
            turn.made_s += frame.num_frames / frame.sample_rate
            if turn.first_audio_s is not None:
                return False
            turn.first_audio_s = now_s
        case BotStartedSpeakingFrame():
            turn.agent_speech.append(Stretch(now_s))
        case BotStoppedSpeakingFrame():
            return _end(turn.agent_speech, now_s)
        case InterruptionFrame() if turn.interrupted_s is None and _is_going_on(turn, now_s):
            turn.interrupted_s = now_s
            turn.words = [word for word in turn.words if word.at_s <= now_s]
        case LLMContextAssistantTurnFrame():
            turn.heard = f"{turn.heard} {frame.text}".strip()
        case _:
            return False
    return True


def _is_going_on(turn: Turn, now_s: float) -> bool:
    """Whether the agent speaks, or is about to."""
    if not turn.agent_speech:
        return turn.answered
    return turn.agent_speech[-1].end_s is None or any(word.at_s > now_s for word in turn.words)


def _end(stretches: list[Stretch], now_s: float) -> bool:
    """End the stretch that goes on; tell whether there was one."""
    if not stretches or stretches[-1].end_s is not None:
        return False
    stretches[-1].end_s = max(now_s, stretches[-1].start_s)
    return True
