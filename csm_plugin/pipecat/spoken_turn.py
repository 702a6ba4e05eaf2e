"""The agent's turn as it was spoken: what was said in it, and where to cut it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from csm_plugin.conversation.heard import heard_text
from csm_plugin.conversation.words import Word
from csm_plugin.pipecat.recorded import RecordedWords, count_words
from csm_plugin.settings import FRAME_S

MAX_SENTENCES = 64
"""How many of a turn's utterances are remembered; older ones count as heard, as they are after so much speech."""


@dataclass(slots=True, eq=False)
class Sentence:
    """One utterance of the turn.

    Args:
        context_id: the audio context that it is spoken in.
        text: what is spoken, as the model reads it.
        recorded: whether it goes into the LLM's context.
        interruptible: whether an interruption ends it.
        frames: how many frames were taken from the engine.
        words: its words so far, with their times.
        live: whether it is being spoken.
        ended: whether it was spoken to its end.
    """

    context_id: str
    text: str
    recorded: bool = True
    interruptible: bool = True
    frames: int = 0
    words: list[Word] = field(default_factory=list)
    live: bool = True
    ended: bool = False

    def add(self, frames: int, words: Iterable[Word]) -> None:
        """Note a chunk that was taken from the engine."""
        self.frames += frames
        self.words.extend(words)

    @property
    def sure_frames(self) -> int:
        """How many of its frames hold no other words than `words`."""
        if self.ended or " ".join(word.text for word in self.words) == self.text:
            return self.frames
        return min(self.frames, int(self.words[-1].end_s / FRAME_S)) if self.words else 0

    def heard(self, frames: int) -> str:
        """The words that its first `frames` hold, as the conversation's ledger judges it."""
        if self.ended:
            return heard_text(self.text, frames * FRAME_S, self.frames * FRAME_S, self.words)
        known = " ".join(word.text for word in self.words)
        return known if frames >= self.frames else heard_text(known, frames * FRAME_S, None, self.words)


class SpokenTurn:
    """What was spoken since the user's last turn or interruption. No I/O and no clock; for one event loop.

    The ledger cuts by time, the LLM's context by words: word frames reach it when their time comes. So the cut is made
    where the listener was, moved to where it leaves exactly the words that the LLM's context has.
    """

    def __init__(self) -> None:
        self._sentences: list[Sentence] = []
        self.gone_frames = 0
        """Frames of its utterances that are not remembered any more."""

    @property
    def frames(self) -> int:
        """How many frames of it were taken from the engine."""
        return self.gone_frames + sum(sentence.frames for sentence in self._sentences)

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """Its last utterances, oldest first."""
        return tuple(self._sentences)

    def begin(self, sentence: Sentence) -> None:
        """Add an utterance."""
        self._sentences.append(sentence)
        if len(self._sentences) > MAX_SENTENCES:
            self.gone_frames += self._sentences.pop(0).frames

    def is_in(self, record: RecordedWords) -> bool:
        """Whether the LLM's context has all of its words that it is going to have."""
        _, most = self._bounds(record)
        return most == self._words_in(self.frames)

    def cut_at(self, heard_frames: int, record: RecordedWords | None) -> int:
        """Return how many of its frames to keep.

        Args:
            heard_frames: how many were heard.
            record: what the LLM's context has, and nothing more; None if that isn't known: only the frames count then.
        """
        total = self.frames
        heard_frames = min(max(heard_frames, 0), total)
        if record is None:
            return self._sure(heard_frames)
        fewest, most = self._bounds(record)
        frames = range(total + 1)
        low = bisect_left(frames, fewest, key=self._words_in)
        high = bisect_left(frames, most + 1, key=self._words_in) - 1
        return min(max(self._sure(min(heard_frames, high)), low), total)

    def _bounds(self, record: RecordedWords) -> tuple[int, int]:
        """How many of the turn's words must be kept at least, and at most, to agree with the LLM's context."""
        recorded = {sentence.context_id: record.words(sentence.context_id) for sentence in self._sentences}
        spoken, fewest, most = 0, 0, None
        for sentence in self._sentences:
            words = count_words(sentence.heard(sentence.frames))
            if sentence.recorded:
                there = min(recorded[sentence.context_id], words) if sentence.interruptible else words
                recorded[sentence.context_id] -= there
                if there:
                    fewest = spoken + there
                if there < words and most is None:
                    most = spoken + there
            spoken += words
        return fewest, max(fewest, spoken if most is None else most)

    def _sure(self, frames: int) -> int:
        """The most of the turn's first `frames` that hold no words but those that are known."""
        start = self.gone_frames
        for sentence in self._sentences:
            if start < frames <= start + sentence.frames:
                return start + min(frames - start, sentence.sure_frames)
            start += sentence.frames
        return frames

    def _words_in(self, frames: int) -> int:
        """How many words the turn's first `frames` hold."""
        frames -= self.gone_frames
        words = 0
        for sentence in self._sentences:
            if frames > 0:
                words += count_words(sentence.heard(min(frames, sentence.frames)))
            frames -= sentence.frames
        return words
