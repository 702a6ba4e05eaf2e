"""Turns the text of a segment into tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from transformers import AutoTokenizer

from csm_plugin.errors import CheckpointFormatError, InputError, TextError

MAX_SPEAKERS = 100


@dataclass(frozen=True, slots=True)
class PlacedTokens:
    """The tokens of a segment's text, and which characters of the text each one stands for.

    Args:
        tokens: with begin, speaker and end; int32 [n].
        starts: first character of each; int64 [n], below 0 where it lies before the text.
        ends: behind the last character of each; int64 [n], at most 0 for tokens that are not of the text.
    """

    tokens: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


class SegmentTokenizer:
    """Writes `<begin>[speaker]text<end>`, the form in which CSM reads a segment.

    Special tokens are never read out of the text itself: what a caller passes stays text. Thread-safe.
    """

    def __init__(self, folder: Path) -> None:
        """Load the tokenizer of a checkpoint folder.

        Raises:
            CheckpointFormatError: it is missing, unreadable, or lacks the begin or end token.
        """
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # transformers and tokenizers raise many kinds
            raise CheckpointFormatError(
                f"{folder} holds no usable tokenizer ({type(error).__name__}); download the checkpoint again"
            ) from error
        self._begin = self._special("bos_token_id", "<|begin_of_text|>", folder)
        self._end = self._special("eos_token_id", "<|end_of_text|>", folder)

    def encode(self, text: str, speaker: int) -> npt.NDArray[np.int32]:
        """Return the tokens of a segment's text, int32 [n].

        Raises:
            InputError: the speaker is not a whole number from 0 to 99.
            TextError: the text is not valid Unicode.
        """
        return self.place(text, speaker).tokens

    def place(self, text: str, speaker: int, behind: str = "") -> PlacedTokens:
        """Return the tokens of a segment's text and where they lie in it.

        Args:
            behind: text that the segment begins with, and a space after it; its tokens lie before the text.

        Raises:
            InputError, TextError: as for `encode`.
        """
        if not isinstance(speaker, int) or isinstance(speaker, bool) or not 0 <= speaker < MAX_SPEAKERS:
            raise InputError(f"speaker is {speaker!r}; it must be a whole number from 0 to {MAX_SPEAKERS - 1}")
        before = f"[{speaker}]{behind} " if behind else f"[{speaker}]"
        try:
            found = self._tokenizer(
                before + text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
            )
        except (TypeError, UnicodeError) as error:  # lone surrogates, which no UTF-8 has
            raise TextError("the text is not valid Unicode; remove its lone surrogates") from error
        spans = np.array(found["offset_mapping"], dtype=np.int64).reshape(-1, 2) - len(before)
        starts, ends = np.pad(spans, ((1, 1), (0, 0))).T
        return PlacedTokens(np.array([self._begin, *found["input_ids"], self._end], dtype=np.int32), starts, ends)

    def _special(self, attribute: str, name: str, folder: Path) -> int:
        token = getattr(self._tokenizer, attribute)
        if token is None:
            token = self._tokenizer.get_vocab().get(name)
        if token is None:
            raise CheckpointFormatError(f"the tokenizer in {folder} has no {name}; download the checkpoint again")
        return int(token)
