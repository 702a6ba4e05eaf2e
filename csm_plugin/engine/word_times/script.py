"""A text as something to be read aloud: its words, and where its tokens lie among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation import split_words

if TYPE_CHECKING:
    from csm_plugin.model.tokenizer import PlacedTokens


@dataclass(frozen=True, slots=True)
class Script:
    """What an utterance reads.

    Places are counted in letters from the text's start: white space and punctuation around words take no room.

    Args:
        words: joined with single spaces they are the text.
        ends: where each word ends; [words].
        stops: after which words punctuation stands; [words].
        token_places: where the middle of each token of the text lies; [tokens].
        first_token: how many tokens of the segment come before those.
    """

    words: tuple[str, ...]
    ends: npt.NDArray[np.float64]
    stops: npt.NDArray[np.bool_]
    token_places: npt.NDArray[np.float64]
    first_token: int

    @classmethod
    def of(cls, text: str, placed: PlacedTokens) -> Script:
        """Return the script of a text and the tokens of its segment."""
        words = split_words(text)
        letters = np.concatenate([_letters(f"{word} ") for word in words])[: len(text)]
        place = np.concatenate(([0.0], np.cumsum(letters)))  # before each character, and behind the last
        ends = place[np.cumsum([len(word) + 1 for word in words]) - 1]
        of_text = np.flatnonzero(placed.ends > 0)
        first, last = (int(of_text[0]), int(of_text[-1])) if len(of_text) else (0, -1)
        spans = slice(first, last + 1)
        middles = (place[np.maximum(placed.starts[spans], 0)] + place[placed.ends[spans]]) / 2
        stops = np.array([not word[-1:].isalnum() for word in words])
        return cls(tuple(words), ends, stops, middles, first)


def _letters(word: str) -> npt.NDArray[np.float64]:
    """Return 1 for each character from the first to the last letter or digit of a word, 0 for the others."""
    said = np.array([character.isalnum() for character in word])
    if not said.any():
        return np.zeros(len(word))
    first, last = int(said.argmax()), len(said) - int(said[::-1].argmax())
    return np.array([float(first <= index < last) for index in range(len(word))])
