"""Cutting an LLM's text into what is spoken at a time: sentences, and a reply's first clause early."""

from __future__ import annotations

from collections.abc import AsyncIterator

from loguru import logger
from pipecat.utils.text.base_text_aggregator import Aggregation, BaseTextAggregator, TextType

from csm_plugin.text.normalize import is_speakable, normalize
from csm_plugin.text.sentences import SentenceSplitter, split_sentences


class SpeechTextAggregator(BaseTextAggregator):
    """Emits sentences, and the first clause of a reply as soon as it is complete.

    `CSMTTSService` uses it by itself. To share it with other consumers of the text, put it upstream:
    `LLMTextProcessor(text_aggregator=SpeechTextAggregator())`.

    Args:
        language: kept for Pipecat, which asks every aggregator for it; the splitter doesn't depend on it.
    """

    def __init__(self, *, language: str | None = None) -> None:
        super().__init__(aggregation_type=TextType.SENTENCE, language=language)
        self._splitter = SentenceSplitter()
        self._pending = ""

    @property
    def text(self) -> Aggregation:
        """What was taken in since the last piece that was emitted."""
        return _sentence(self._pending.strip())

    async def aggregate(self, text: str) -> AsyncIterator[Aggregation]:
        """Take in a delta of the reply.

        Args:
            text: the next characters of the reply, spaces included.

        Yields:
            Each piece that `text` completes, without surrounding spaces.
        """
        self._pending += text
        for piece in self._splitter.feed(text):
            self._drop_from_pending(piece)
            yield _sentence(piece)

    async def flush(self) -> Aggregation | None:
        """End the reply: return what is left of it, or None. The next text begins a new reply."""
        rest = " ".join(piece for piece in self._splitter.flush() if piece.strip())
        await self.reset()
        return _sentence(rest) if rest else None

    async def handle_interruption(self) -> None:
        """Forget the reply that was interrupted."""
        await self.reset()

    async def reset(self) -> None:
        """Forget everything; the next text begins a new reply."""
        self._splitter.reset()
        self._pending = ""

    def _drop_from_pending(self, piece: str) -> None:
        start = self._pending.find(piece)
        self._pending = self._pending[start + len(piece) :] if start >= 0 else ""


def _sentence(text: str) -> Aggregation:
    return Aggregation(text=text, type=TextType.SENTENCE)


def write_out(text: str, *, english: bool) -> str:
    """What is spoken of a text: numbers, signs and abbreviations in words; empty if there is nothing to speak.

    Pipecat is given this, so that the words it is told of are those of the text that it knows.

    Args:
        english: whether it is; the rules are for English, and other text stays as it is.
    """
    if not english:
        spoken = " ".join(text.split())
        return spoken if any(character.isalnum() for character in spoken) else ""
    pieces = [normalize(piece) for piece in split_sentences(text) if is_speakable(piece)]
    if not pieces:
        logger.debug(f"skipped text of {len(text)} characters: nothing speakable in it")
    return " ".join(pieces)
