"""Keeps a conversation's context to what was heard of the agent, word for word as the LLM's context has it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from csm_plugin.pipecat.playback import MAX_CONTEXTS, PlaybackPosition
from csm_plugin.pipecat.recorded import RecordedWords
from csm_plugin.pipecat.spoken_turn import Sentence, SpokenTurn
from csm_plugin.settings import FRAME_S

if TYPE_CHECKING:
    from csm_plugin.interface import SpeechConversation

PATIENCE_S = 0.25
"""How long after an interruption the assistant aggregator may take to say what it committed."""


@dataclass(slots=True)
class _Cut:
    """An interruption that the conversation was not told of yet."""

    turn: SpokenTurn
    heard_frames: int
    at_s: float
    recorded: bool = False


class HeardSpeech:
    """Follows what is spoken, heard and committed, and cuts the conversation at an interruption. For one event loop.

    An interruption is noted at once, and the conversation told of it when the assistant aggregator has said what it
    committed, which takes some milliseconds; at the latest before the next thing is said or heard. The words that
    reach the LLM's context in these milliseconds would otherwise be missing in the conversation's.

    Args:
        position: where the listener is.
        clock: seconds on a clock that never goes back.
    """

    def __init__(self, position: PlaybackPosition, clock: Callable[[], float]) -> None:
        self._position = position
        self._clock = clock
        self._turn = SpokenTurn()
        self._record = RecordedWords()
        self._cut: _Cut | None = None
        self._aggregated = False  # whether an assistant aggregator is known to be there
        self._unanswered = False  # whether one said nothing after an interruption
        self._protected: deque[Sentence] = deque(maxlen=MAX_CONTEXTS)

    def begin(self, sentence: Sentence) -> None:
        """Note that an utterance begins; `settle` goes before."""
        self._turn.begin(sentence)
        if not sentence.interruptible:
            self._protected.append(sentence)

    def show(self, context_id: str | None, spoken: str, recorded: str) -> None:
        """Note a text frame that went out; see `RecordedWords.show`."""
        self._record.show(context_id, spoken, recorded)

    def record(self, text: str) -> None:
        """Note what the assistant aggregator committed."""
        self._aggregated = True
        self._record.record(text)
        if self._cut is not None:
            self._cut.recorded = True

    def expect_records(self) -> None:
        """Note that there is an aggregator: where it says nothing, it committed nothing."""
        self._aggregated = True

    def interrupt(self) -> None:
        """Note an interruption; the interruptible utterances are cancelled by then."""
        unfinished = any(sentence.live and not sentence.interruptible for sentence in self._turn.sentences)
        heard_frames = self._heard_frames()
        self._position.interrupt({sentence.context_id for sentence in self._protected})
        # The conversation can only be cut behind all that stays, and not while that is being spoken.
        if self._turn.frames and not unfinished:
            self._cut = _Cut(self._turn, heard_frames, self._clock())
            self._turn = SpokenTurn()

    @property
    def surviving(self) -> list[Sentence]:
        """What an interruption leaves alone and was not all heard yet, in the order in which it is heard."""
        return [one for one in self._protected if one.live or self._position.unheard_in(one.context_id) > 0]

    @property
    def may_be_cut(self) -> bool:
        """Whether an interruption would cut something off that was spoken."""
        return any(
            sentence.interruptible and self._position.unheard_in(sentence.context_id) > 0
            for sentence in self._turn.sentences
        )

    @property
    def awaits_commit(self) -> bool:
        """Whether there is an interruption of which the assistant aggregator has still to say what it committed."""
        cut = self._cut
        if cut is None or cut.recorded or self._is_late(cut) or (self._unanswered and not self._aggregated):
            return False
        return not cut.turn.is_in(self._record)

    @property
    def due(self) -> bool:
        """Whether there is an interruption that the conversation should be told of now."""
        return self._cut is not None and (self._cut.recorded or self._is_late(self._cut))

    def settle(self, talk: SpeechConversation) -> None:
        """Tell the conversation of the last interruption if it doesn't know of it yet. Never blocks."""
        cut, self._cut = self._cut, None
        if cut is not None:
            complete = self._is_late(cut) or cut.turn.is_in(self._record)
            known = cut.recorded or (self._aggregated and complete)
            self._unanswered = self._unanswered or (self._is_late(cut) and not cut.recorded)
            frames = cut.turn.cut_at(cut.heard_frames, self._record if known else None)
            self._record.drop({sentence.context_id for sentence in cut.turn.sentences if sentence.interruptible})
            talk.interrupt(heard_s=frames * FRAME_S)

    def next_turn(self) -> SpokenTurn:
        """Note that the conversation begins a new turn because the user has spoken; `settle` goes before.

        Returns:
            the turn that ended, for `resume`.
        """
        ended, self._turn = self._turn, SpokenTurn()
        return ended

    def resume(self, turn: SpokenTurn) -> None:
        """Note that the conversation didn't take in what the user said, and so goes on with the turn before."""
        if not self._turn.frames:
            self._turn = turn

    def _is_late(self, cut: _Cut) -> bool:
        return self._clock() - cut.at_s >= PATIENCE_S

    def _heard_frames(self) -> int:
        """How far into the turn the listener is, in frames; what cannot be interrupted counts as heard."""
        left: dict[str, float] = {}
        heard = total = self._turn.gone_frames
        for sentence in self._turn.sentences:
            context_id = sentence.context_id
            left.setdefault(context_id, self._position.heard_s(context_id) / FRAME_S)
            frames = min(sentence.frames, round(max(0.0, min(left[context_id], sentence.frames))))
            left[context_id] -= sentence.frames
            if frames or not sentence.interruptible:
                heard = total + (frames if sentence.interruptible else sentence.frames)
            total += sentence.frames
        return heard
