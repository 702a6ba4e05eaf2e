"""A remote conversation's own copy of what was said."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from csm_plugin.client.orders import NO_TOKENS, ListenOrder, SpeakOrder
from csm_plugin.conversation import Entry, Ledger
from csm_plugin.conversation.frame_buffer import FinishReason
from csm_plugin.protocol.messages import Held


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
        entries = [(at, entry) for at, entry in enumerate(self._entries) if not entry.withdrawn]
        return [Numbered(self._numbers[id(entry)], entry, at >= self._turn) for at, entry in entries]

    @property
    def gone_frames(self) -> int:
        """Heard frames of the current turn that are not held any more."""
        return self._gone_frames + sum(entry.heard_frames for entry in self._entries if entry.withdrawn)

    def begin(self, spoken: SpeakOrder) -> None:
        """Add an utterance, unless it is there."""
        if not spoken.begun:
            spoken.begun = True
            self._note(spoken.number, spoken.entry)
            self.append(spoken.entry)

    def hold_turn(self, turned: ListenOrder) -> None:
        """Keep a place for the other side's turn, which an utterance overtakes."""
        self._note(turned.number, turned.entry)
        self.hold(turned.entry)

    def take_turn(self, turned: ListenOrder, text: str) -> None:
        """Add the other side's turn; what was said before it is settled."""
        self._note(turned.number, turned.entry)
        turned.entry.text = text
        self.add_turn(turned.entry, list(turned.codes))

    def drop_unheard(self, spoken: SpeakOrder) -> None:
        """End an utterance as cancelled, and keep only what was taken of it."""
        ended = spoken.buffer.finish_reason == "end"
        if spoken.buffer.discard() and spoken.begun:
            taken = min(spoken.buffer.taken, spoken.entry.heard_frames)
            if not self.cut(spoken.entry, taken, ended=ended):
                self.remove(spoken.entry)

    def settle(self, spoken: SpeakOrder, reason: FinishReason) -> None:
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

    def _note(self, number: int, entry: Entry) -> None:
        self._numbers = {id(e): self._numbers[id(e)] for e in self._entries} | {id(entry): number}
