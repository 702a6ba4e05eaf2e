"""Turns the text of a segment into tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from csm_plugin.errors import CheckpointFormatError, TextError
from csm_plugin.model.fields import read_json
from csm_plugin.settings import check_speaker

FILE = "tokenizer.json"
BEGIN, END = "<|begin_of_text|>", "<|end_of_text|>"
_SPEAKER, _TEXT = "0", "a"  # what a chat template is tried with


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

    What stands before and behind is what the checkpoint's chat template puts there; without a template it is the
    tokenizer's begin and end token. Special tokens are never read out of the text itself: what a caller passes stays
    text. Thread-safe.
    """

    def __init__(self, folder: Path, *, spaced: bool = False) -> None:
        """Load the tokenizer of a folder.

        Args:
            spaced: put a space between `[speaker]` and the text, as some checkpoints know it.

        Raises:
            CheckpointFormatError: it is missing, unreadable, or lacks the begin or end token.
        """
        if not (folder / FILE).is_file():
            raise CheckpointFormatError(
                f"{folder} holds no usable tokenizer (no {FILE}); download the checkpoint again, or name the folder or "
                "hub id of its tokenizer: tokenizer=…"
            )
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / FILE))
        except Exception as error:  # tokenizers raises plain exceptions
            raise CheckpointFormatError(
                f"{folder} holds no usable tokenizer ({error}); download the checkpoint again"
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._space = " " if spaced else ""
        self._begin, self._end = self._around(folder)
        self._tokenizer.encode_special_tokens = True  # from now on they stay text

    @property
    def vocabulary(self) -> int:
        """How many ids an embedding needs for it, special tokens included."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

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
        before = f"[{check_speaker(speaker)}]{self._space}" + (f"{behind} " if behind else "")
        try:
            found = self._tokenizer.encode(before + text, add_special_tokens=False)
        except (TypeError, UnicodeError) as error:  # lone surrogates, which no UTF-8 has
            raise TextError("the text is not valid Unicode; remove its lone surrogates") from error
        spans = np.array(found.offsets, dtype=np.int64).reshape(-1, 2) - len(before)
        starts, ends = np.pad(spans, ((len(self._begin), len(self._end)), (0, 0))).T
        return PlacedTokens(np.array([*self._begin, *found.ids, *self._end], dtype=np.int32), starts, ends)

    def _around(self, folder: Path) -> tuple[list[int], list[int]]:
        """Return the tokens before and behind `[speaker]text` in a segment."""
        config = read_json(folder / "tokenizer_config.json")
        settings: dict[str, Any] = config if isinstance(config, dict) else {}
        named = {name: _content(settings.get(name)) for name in ("bos_token", "eos_token")}
        template = _chat_template(folder, settings)
        if template is not None:
            before, behind = _render(template, named, folder)
            return self._parse(before), self._parse(behind)
        if around := self._processed():
            return around
        if self._tokenizer.token_to_id(BEGIN) is not None:
            named = {"bos_token": BEGIN, "eos_token": END}
        return self._special(named["bos_token"] or BEGIN, folder), self._special(named["eos_token"] or END, folder)

    def _parse(self, special: str) -> list[int]:
        return [int(token) for token in self._tokenizer.encode(special, add_special_tokens=False).ids]

    def _processed(self) -> tuple[list[int], list[int]] | None:
        """Return what the tokenizer by itself puts around a text, None unless it is something on both sides."""
        whole, bare = self._tokenizer.encode(_TEXT), self._tokenizer.encode(_TEXT, add_special_tokens=False)
        marks = [bool(mark) for mark in whole.special_tokens_mask]
        if not bare.ids or all(marks):
            return None
        first, last = marks.index(False), len(marks) - marks[::-1].index(False)
        return (whole.ids[:first], whole.ids[last:]) if first > 0 and last < len(marks) else None

    def _special(self, token: str, folder: Path) -> list[int]:
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise CheckpointFormatError(f"the tokenizer in {folder} has no {token}; download the checkpoint again")
        return [int(number)]


def _content(token: object) -> str | None:
    """Return a special token's text, which older files wrap."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def _chat_template(folder: Path, settings: dict[str, Any]) -> str | None:
    """Return the chat template: a file of its own, or a field of the tokenizer's or processor's settings."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointFormatError(
                f"{path} cannot be read as text ({error}); download the checkpoint again"
            ) from error
    for holder in (settings, read_json(folder / "chat_template.json"), read_json(folder / "processor_config.json")):
        template = holder.get("chat_template") if isinstance(holder, dict) else None
        if isinstance(template, str):
            return template
    return None


def _render(template: str, named: dict[str, str | None], folder: Path) -> tuple[str, str]:
    """Return what a chat template puts before and behind a message's `[speaker]text`; it runs in a sandbox."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    message = {"role": _SPEAKER, "content": [{"type": "text", "text": _TEXT}]}
    special = {name: token or "" for name, token in named.items()}
    try:
        written = environment.from_string(template).render(messages=[message], add_generation_prompt=False, **special)
    except Exception as error:  # a template may fail in any way
        raise CheckpointFormatError(f"the chat template in {folder} cannot be used ({error}); correct it") from error
    before, middle, behind = written.partition(f"[{_SPEAKER}]{_TEXT}")
    if not middle:
        raise CheckpointFormatError(
            f"the chat template in {folder} does not write a segment as [speaker]text; correct it, or leave it out"
        )
    return before, behind


def _refuse(message: str) -> None:
    raise ValueError(message)
