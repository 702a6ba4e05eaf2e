"""Cutting streamed text into what is spoken at a time, without losing a character of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from csm_plugin.text.hidden import HiddenText, Span
from csm_plugin.text.sentences import SentenceSplitter


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, or a reply's first clause.

    Args:
        text: without the white space around it, which is what is spoken; empty where there is nothing to speak.
        written: as it was written, with the white space and what is hidden before it. Joined, all pieces are the text,
            with what `rest` gives at its end.
    """

    text: str
    written: str


class PieceCutter:
    """Takes a reply's text in as it is written and gives out pieces as soon as they are certain. For one thread.

    Args:
        early: whether the first clause goes out before its sentence is complete.
    """

    def __init__(self, *, early: bool = True) -> None:
        self._splitter = SentenceSplitter(early=early)
        self._hidden = HiddenText()
        self._spans: deque[Span] = deque()

    def feed(self, delta: str) -> list[Piece]:
        """Add text; give the pieces that it completes."""
        self._spans.extend(self._hidden.feed(delta))
        return [self._piece(text) for text in self._splitter.feed(delta) if text]

    def flush(self) -> list[Piece]:
        """The reply is complete: give what is left."""
        self._spans.extend(self._hidden.flush())
        return [self._piece(text) for text in self._splitter.flush() if text]

    def rest(self) -> list[Piece]:
        """What is white space or hidden at the end of the flushed text, as a piece with nothing to speak, if any is."""
        rest = "".join(span.written for span in self._spans)
        self._spans.clear()
        return [Piece("", rest)] if rest else []

    def _piece(self, text: str) -> Piece:
        """Take from what was written as much as `text` is of it; the splitter changes white space and nothing else."""
        left = sum(not character.isspace() for character in text)
        written = ""
        while left:
            span = self._spans.popleft()
            if span.written != span.spoken:
                left -= sum(not character.isspace() for character in span.spoken)
                written += span.written
                continue
            end = 0
            while left and end < len(span.written):
                left -= not span.written[end].isspace()
                end += 1
            written += span.written[:end]
            if end < len(span.written):
                rest = span.written[end:]
                self._spans.appendleft(Span(rest, rest))
        return Piece(text, written)
