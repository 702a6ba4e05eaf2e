"""One stretch of speech by one speaker, as the model's context holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation.words import Word
from csm_plugin.settings import FRAME_S, TEXT

Codes = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int32]
"""Context positions [n, 1 + codebooks]: a token and `TEXT`s, or `TEXT` and the codes of a frame."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What a speaker said.

    Args:
        speaker: the speaker's number in this conversation.
        text: the words, as the model read them.
        codes: the sound, int32 [frames, codebooks].
    """

    speaker: int
    text: str
    codes: Codes

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.codes) * FRAME_S


@dataclass(slots=True)
class Entry:
    """A segment in a ledger, open while it is spoken.

    Args:
        speaker: the speaker's number in this conversation.
        text: the words, as the model read them.
        tokens: the text's tokens with begin and end, int32 [n].
        frames: the codes of each frame, int32 [codebooks].
        lead: frames at the start that were generated but not delivered, because they were silent.
        words: the words that were delivered so far, counted from the first delivered frame.
        pending: it has its place, but its sound is still being encoded.
        withdrawn: no word of it was heard; only its time counts, until the turn is over.
    """

    speaker: int
    text: str
    tokens: npt.NDArray[np.int32]
    frames: list[Codes] = field(default_factory=list)
    lead: int = 0
    words: list[Word] = field(default_factory=list)
    pending: bool = False
    withdrawn: bool = False
    _closed: tuple[int, int, Positions] | None = field(default=None, repr=False)  # for so many tokens and frames

    @property
    def is_held(self) -> bool:
        """Whether the context holds it."""
        return not (self.pending or self.withdrawn)

    @property
    def heard_frames(self) -> int:
        """How many frames went to the listener."""
        return max(0, len(self.frames) - self.lead)

    @property
    def length(self) -> int:
        """Context positions of the closed segment: text, frames and the closing frame."""
        return len(self.tokens) + len(self.frames) + 1 if self.is_held else 0

    def keep_text(self, text: str) -> None:
        """Keep only the beginning `text` of the text, and the words in it; the tokens do not fit any more then."""
        self.text = text
        end = -1
        for index, word in enumerate(self.words):
            end += len(word.text) + 1
            if end > len(text):
                del self.words[index:]
                break

    def segment(self, codebooks: int) -> Segment:
        """Return what is held so far."""
        codes = np.array(self.frames, dtype=np.int32).reshape(-1, codebooks)
        return Segment(self.speaker, self.text, codes)

    def positions(self, codebooks: int) -> Positions:
        """Return the closed segment's context positions. Not to be written to."""
        if not self.is_held:
            return np.empty((0, 1 + codebooks), dtype=np.int32)
        held = len(self.tokens), len(self.frames)
        if self._closed is None or self._closed[:2] != held:
            self._closed = (*held, self._close(codebooks))
        return self._closed[2]

    def _close(self, codebooks: int) -> Positions:
        closing = np.zeros(codebooks, dtype=np.int32)
        audio = frame_positions([*self.frames, closing], codebooks)
        return np.concatenate((text_positions(self.tokens, codebooks), audio))


def text_positions(tokens: npt.NDArray[np.int32], codebooks: int) -> Positions:
    """Return the context positions of tokens."""
    positions = np.full((len(tokens), 1 + codebooks), TEXT, dtype=np.int32)
    positions[:, 0] = tokens
    return positions


def frame_positions(frames: Sequence[Codes], codebooks: int) -> Positions:
    """Return the context positions of frames."""
    positions = np.full((len(frames), 1 + codebooks), TEXT, dtype=np.int32)
    positions[:, 1:] = np.array(frames, dtype=np.int32).reshape(-1, codebooks)
    return positions
