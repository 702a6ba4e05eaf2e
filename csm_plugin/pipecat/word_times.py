"""When the listener hears each word, in the terms of Pipecat's word timestamps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from csm_plugin.conversation.words import Word
from csm_plugin.pipecat.recorded import count_words
from csm_plugin.settings import FRAME_S


def heard_after_frames(word: Word) -> int:
    """After how many frames of its utterance a word counts as heard: as in the ledger, with half of it."""
    return math.ceil((word.start_s + word.end_s) / 2 / FRAME_S - 1e-9)


class WordTimes:
    """Places words on the time scale of their audio context. For one event loop.

    A word's time is that at which it counts as heard, so that the LLM's context and the conversation's agree wherever
    somebody interrupts. Times never go back, since Pipecat puts words in the order of their times. Punctuation that
    stands alone has no time: Pipecat adds it to the word beside it.
    """

    def __init__(self) -> None:
        self._context_id: str | None = None
        self._last_s = 0.0

    def place(
        self, context_id: str, words: Sequence[Word], *, chunk_start_s: float, heard_in_s: float
    ) -> list[tuple[str, float]]:
        """Return the words of a chunk with their times.

        Args:
            words: as the chunk has them.
            chunk_start_s: where in its utterance the chunk begins.
            heard_in_s: where on the context's scale the chunk's first sample is heard.
        """
        if context_id != self._context_id:
            self._context_id, self._last_s = context_id, 0.0
        times = []
        for word in words:
            if count_words(word.text):
                at_s = heard_in_s + (heard_after_frames(word) - 0.5) * FRAME_S - chunk_start_s
                self._last_s = max(self._last_s, at_s)
                times.append((word.text.strip(), self._last_s))
        return times
