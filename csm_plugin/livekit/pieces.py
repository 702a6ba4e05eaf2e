"""Cutting streamed text into what is spoken at a time, without losing a character of it."""

from __future__ import annotations

from dataclasses import dataclass

from csm_plugin.text.sentences import SentenceSplitter


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, or a reply's first clause.

    Args:
        text: without the white space around it, which is what is spoken; empty for white space alone.
        written: as it was written, with the white space before it. Joined, all pieces are the text but for white space
            at its end.
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
        self._written = ""

    def feed(self, delta: str) -> list[Piece]:
        """Add text; give the pieces that it completes."""
        self._written += delta
        return [self._piece(text) for text in self._splitter.feed(delta) if text]

    def flush(self) -> list[Piece]:
        """The reply is complete: give what is left."""
        return [self._piece(text) for text in self._splitter.flush() if text]

    def rest(self) -> list[Piece]:
        """The white space at the end of the flushed text, as a piece with nothing to speak; none if there is none."""
        rest, self._written = self._written, ""
        return [Piece("", rest)] if rest else []

    def _piece(self, text: str) -> Piece:
        """Take from what was written as much as `text` is of it; the splitter changes white space and nothing else."""
        left = sum(not character.isspace() for character in text)
        end = 0
        while left:
            left -= not self._written[end].isspace()
            end += 1
        written, self._written = self._written[:end], self._written[end:]
        return Piece(text, written)
