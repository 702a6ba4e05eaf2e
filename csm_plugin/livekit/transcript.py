"""When each word of a text is heard, as it was written: "$5" is heard while "five dollars" is spoken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from csm_plugin.conversation.words import Word, split_words

_TOKEN = re.compile(r"\s*\S+")


@dataclass(frozen=True, slots=True)
class Token:
    """A written word.

    Args:
        text: with the white space before it; joined, a piece's tokens are the piece as it was written.
        words: how many of the piece's spoken words have been said when it has.
    """

    text: str
    words: int


@dataclass(frozen=True, slots=True)
class TimedToken:
    """A written word and when it is heard, in seconds since its piece began."""

    text: str
    start_s: float
    end_s: float


class PieceTranscript:
    """Follows one piece of text while it is spoken, and gives out its written words with their times.

    Args:
        written: the piece as it was written.
        spoken: what is spoken of it, empty for nothing.
    """

    def __init__(self, written: str, spoken: str) -> None:
        self.tokens = align(written, split_words(spoken) if spoken else [])
        self._words: list[Word] = []
        self._given = 0  # tokens
        self._placed = 0  # words
        self._end_s = 0.0

    def hear(self, words: Sequence[Word]) -> list[TimedToken]:
        """Take in the next spoken words; give the written words that they complete."""
        self._words.extend(words)
        ready = []
        while self._given < len(self.tokens) and self.tokens[self._given].words <= len(self._words):
            ready.append(self._place(self.tokens[self._given]))
            self._given += 1
        return ready

    def finish(self, end_s: float) -> list[TimedToken]:
        """The piece is over, after `end_s` seconds: give what is left, spread evenly over the rest of the sound."""
        left = self.tokens[self._given :]
        self._given = len(self.tokens)
        began_s, room_s = self._end_s, max(0.0, end_s - self._end_s)
        times = [began_s + room_s * index / len(left) for index in range(len(left) + 1)] if left else []
        return [TimedToken(token.text, times[index], times[index + 1]) for index, token in enumerate(left)]

    def _place(self, token: Token) -> TimedToken:
        words = self._words[self._placed : token.words]
        self._placed = max(self._placed, token.words)
        start_s = max(words[0].start_s, self._end_s) if words else self._end_s
        self._end_s = max(words[-1].end_s, start_s) if words else start_s
        return TimedToken(token.text, start_s, self._end_s)


def align(written: str, spoken: Sequence[str]) -> list[Token]:
    """Find for each written word how many of the spoken words have been said when it has.

    Equal words are matched; what lies between matches is shared out evenly. What is not spoken at all belongs to the
    word before it.
    """
    texts = _tokens(written)
    if not texts:
        return []
    ends = [0] * len(texts)
    matcher = SequenceMatcher(None, [_key(text) for text in texts], [_key(word) for word in spoken], autojunk=False)
    for _, start, end, first, last in matcher.get_opcodes():
        if start == end:
            ends[max(0, start - 1)] = last
        for index in range(start, end):
            share = -((first - last) * (index - start + 1) // (end - start))
            ends[index] = max(ends[index], first + share)
    ends[-1] = len(spoken)
    reached = 0
    for index, count in enumerate(ends):
        reached = ends[index] = max(reached, count)
    return [Token(text, count) for text, count in zip(texts, ends, strict=True)]


def _tokens(written: str) -> list[str]:
    texts = _TOKEN.findall(written)
    if texts:
        texts[-1] += written[sum(map(len, texts)) :]
    return texts


def _key(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())
