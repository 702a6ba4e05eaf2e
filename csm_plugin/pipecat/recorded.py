"""What the LLM's context has of the agent's words: text frames that went out, matched with what was committed."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Container
from dataclasses import dataclass

MAX_PARTS = 2_048
MAX_CONTEXTS = 256


@dataclass(frozen=True, slots=True)
class _Part:
    """A text frame that went out: how many spoken words it stands for, and how many tokens of the LLM's text."""

    context_id: str | None
    words: int
    tokens: int


class RecordedWords:
    """Counts the spoken words that were committed, by audio context. No I/O and no clock; for one event loop.

    The assistant aggregator commits the text of the frames that reached it in time, in their order. So a committed text
    tells by its length up to which frame that was.
    """

    def __init__(self) -> None:
        self._parts: deque[_Part] = deque(maxlen=MAX_PARTS)
        self._words: OrderedDict[str | None, int] = OrderedDict()

    def show(self, context_id: str | None, spoken: str, recorded: str) -> None:
        """Note a text frame that went out.

        Args:
            context_id: its audio context.
            spoken: the spoken words that it stands for, empty for text that isn't spoken.
            recorded: what it adds to the LLM's context, empty for nothing.
        """
        self._parts.append(_Part(context_id, count_words(spoken), len(recorded.split())))

    def record(self, text: str) -> None:
        """Note a commit: the frames that went out, up to the end of `text`, are in it."""
        tokens = len(text.split())
        while tokens > 0 and self._parts:
            part = self._parts.popleft()
            self._words[part.context_id] = self._words.get(part.context_id, 0) + part.words
            tokens -= part.tokens
        while len(self._words) > MAX_CONTEXTS:
            self._words.popitem(last=False)

    def words(self, context_id: str) -> int:
        """How many spoken words of an audio context were committed."""
        return self._words.get(context_id, 0)

    def drop(self, context_ids: Container[str | None]) -> None:
        """Forget frames that will not be committed any more, since they were interrupted."""
        self._parts = deque((part for part in self._parts if part.context_id not in context_ids), maxlen=MAX_PARTS)


def count_words(text: str) -> int:
    """How many words of a text are spoken; punctuation that stands alone is none."""
    return sum(any(character.isalnum() for character in word) for word in text.split())
