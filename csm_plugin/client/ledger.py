"""A remote conversation's own copy of what was said."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from csm_plugin.client.jobs import Spoken, Turned
from csm_plugin.client.messages import Held
from csm_plugin.conversation import Entry, Ledger
from csm_plugin.engine.frame_buffer import FinishReason

NO_TOKENS = np.zeros(0, np.int32)
"""Tokens are the server's business."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A segment, the number under which it was ordered, and whether it belongs to the current turn."""

    number: int
    entry: Entry
    current: bool


class RemoteLedger(Ledger):
    """The ledger of a conversation that a server has, with numbers instead of tokens.

    Not thread-safe: its owner holds a lock.

    Args:
        codebooks: codes a frame.
    """

    def __init__(self, codebooks: int) -> None:
        super().__init__(codebooks, lambda text, speaker: NO_TOKENS)
        self._numbers: dict[int, int] = {}  # by the identity of entries that are held

    @property
    def numbered(self) -> list[Numbered]:
        """All segments, oldest first."""
        return [Numbered(self._numbers[id(e)], e, at >= self._turn) for at, e in enumerate(self._entries)]

    @property
    def gone_frames(self) -> int:
        """Heard frames of the current turn that are not held any more."""
        return self._gone_frames

    def begin(self, spoken: Spoken) -> None:
        """Add an utterance, unless it is there."""
        if not spoken.begun:
            spoken.begun = True
            self._add(spoken.number, spoken.entry)

    def add_turn(self, turned: Turned, text: str) -> None:
        """Add the other side's turn; what was said before it is settled."""
        self._add(turned.number, Entry(turned.speaker, text, NO_TOKENS, turned.codes))
        self.begin_turn()

    def drop_unheard(self, spoken: Spoken) -> None:
        """End an utterance as cancelled, and keep only what was taken of it."""
        ended = spoken.buffer.finish_reason == "end"
        if spoken.buffer.discard() and spoken.begun:
            taken = min(spoken.buffer.taken, spoken.entry.heard_frames)
            if not self.cut(spoken.entry, taken, ended=ended):
                self.remove(spoken.entry)

    def settle(self, spoken: Spoken, reason: FinishReason) -> None:
        """Note the end of an utterance: one that did not reach its text's end is cut to what was said."""
        entry = spoken.entry
        kept = bool(entry.heard_frames) and (reason == "end" or self.cut(entry, entry.heard_frames, ended=False))
        if spoken.begun and not kept:
            self.remove(entry)

    def follow(self, held: Sequence[Held], under_way: Container[int]) -> None:
        """Hold no more than the server does.

        Args:
            under_way: numbers of which the server did not speak.
        """
        known = {segment.number: segment for segment in held}
        for segment in self.numbered:
            number, entry = segment.number, segment.entry
            if number in under_way:
                continue
            if number not in known:
                self.remove(entry)
                continue
            theirs = known[number]
            del entry.frames[theirs.frames :]
            if theirs.text != entry.text and entry.text.startswith(theirs.text):
                entry.keep_text(theirs.text)

    def _add(self, number: int, entry: Entry) -> None:
        self._numbers = {id(e): self._numbers[id(e)] for e in self._entries} | {id(entry): number}
        self.append(entry)
