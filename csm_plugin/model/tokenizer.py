"""Turns the text of a segment into tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

from csm_plugin.errors import CheckpointFormatError, InputError, TextError

MAX_SPEAKERS = 100


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

    def encode(self, text: str, speaker: int) -> np.ndarray:
        """Return the tokens of a segment's text, int32 [n].

        Raises:
            InputError: the speaker is not a whole number from 0 to 99.
            TextError: the text is not valid Unicode.
        """
        if not isinstance(speaker, int) or isinstance(speaker, bool) or not 0 <= speaker < MAX_SPEAKERS:
            raise InputError(f"speaker is {speaker!r}; it must be a whole number from 0 to {MAX_SPEAKERS - 1}")
        try:
            ids = self._tokenizer.encode(f"[{speaker}]{text}", add_special_tokens=False, split_special_tokens=True)
        except (TypeError, UnicodeError) as error:  # lone surrogates, which no UTF-8 has
            raise TextError("the text is not valid Unicode; remove its lone surrogates") from error
        return np.array([self._begin, *ids, self._end], dtype=np.int32)

    def _special(self, attribute: str, name: str, folder: Path) -> int:
        token = getattr(self._tokenizer, attribute)
        if token is None:
            token = self._tokenizer.get_vocab().get(name)
        if token is None:
            raise CheckpointFormatError(f"the tokenizer in {folder} has no {name}; download the checkpoint again")
        return int(token)
