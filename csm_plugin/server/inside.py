"""What the server needs of the engine beyond its public interface. Nothing else reaches inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation import Entry, Word
from csm_plugin.errors import InputError

if TYPE_CHECKING:
    from csm_plugin.conversation.frame_buffer import FrameBuffer
    from csm_plugin.engine import Conversation, Engine, Turn, Utterance

Codes = npt.NDArray[np.int32]
Key = tuple[int, int]
"""The number that a client gave, and the piece."""


def rounds(engine: Engine) -> int:
    """Return how many rounds the device thread has gone while conversations were open."""
    return engine._scheduler.rounds


def codebooks(engine: Engine) -> int:
    """Return how many codes a frame has."""
    return engine._scheduler.model.config.codebooks


@dataclass(frozen=True, slots=True)
class HeldSegment:
    """A segment in the context, and how much of it is kept."""

    key: Key
    text: str
    frames: int
    lead: int


class Context:
    """The context of a conversation, by the numbers that the far side gave. For one thread beside the engine's.

    Args:
        talk: the conversation.
        gone_frames: heard frames of the current turn that will not be recalled.
    """

    def __init__(self, talk: Conversation, gone_frames: int = 0) -> None:
        self._talk = talk
        self._gone_frames = gone_frames
        self._session = talk._session
        self._entries: dict[int, tuple[Entry, Key]] = {}  # by identity

    def note_utterance(self, key: Key, utterance: Utterance) -> None:
        """Remember the segment of an utterance; before any of it is taken."""
        entry = self._entry_of(utterance._buffer)
        if entry is not None:
            self._entries[id(entry)] = (entry, key)

    def note_turn(self, key: Key, turn: Turn) -> tuple[str, Codes]:
        """Remember the segment of a turn that the context has taken in; return its text and its codes."""
        entry: Entry = turn.done.result()
        with self._session.lock:
            self._entries[id(entry)] = (entry, key)
            return entry.text, self._stacked(entry.frames)

    def lead(self, key: Key) -> Codes:
        """Return the codes of silent frames that are not delivered, once the first frame is: int32 [n, codebooks]."""
        with self._session.lock:
            entry = self._find(key)
            return self._stacked([] if entry is None else entry.frames[: entry.lead])

    def keep(self, key: Key, frames: int) -> None:
        """Keep only the first delivered frames of an utterance that is over, and the words in them."""
        with self._session.lock:
            entry, ledger = self._find(key), self._session.ledger
            if (
                entry is None
                or entry.heard_frames <= frames
                or not any(e is entry and e.is_held for e in ledger._entries)
            ):
                return
            if not ledger.cut(entry, frames, ended=True):
                ledger.remove(entry)
            self._session.stale = True
        self._talk._scheduler.registry.wake()

    def recall(
        self, key: Key, speaker: int, text: str, codes: Codes, lead: int, words: Sequence[Word], *, current: bool
    ) -> None:
        """Put a segment behind those that are there.

        Args:
            codes: int32 [frames, codebooks].
            current: whether it belongs to the current turn.

        Raises:
            InputError, TextError: the codes or the text cannot be any of this model's.
        """
        config = self._talk._scheduler.model.config
        if codes.ndim != 2 or codes.shape[1] != config.codebooks or len(codes) > config.backbone.positions:
            raise InputError(f"a segment has at most {config.backbone.positions} frames of {config.codebooks} codes")
        if lead > len(codes) or (codes.size and not 0 <= codes.min() <= codes.max() < config.codebook_size):
            raise InputError(f"codes are from 0 to {config.codebook_size - 1}, and no more frames lead than there are")
        entry = Entry(speaker, text, self._talk._tokenizer.encode(text, speaker), list(codes), lead, list(words))
        self._session.hold_turns()
        with self._session.lock:
            self._session.ledger.append(entry)
            if not current:
                self._session.ledger.begin_turn()
            self._session.ledger._gone_frames = self._gone_frames
            self._session.ledger.evict(config.backbone.positions)
            self._entries[id(entry)] = (entry, key)
            self._session.stale = True
        self._talk._scheduler.registry.wake()

    def held(self, waiting: set[Key]) -> list[HeldSegment]:
        """Return what the context holds, oldest first, and forget what will not be in it any more.

        Args:
            waiting: what is still to be said.
        """
        with self._session.lock:
            entries = [entry for entry in self._session.ledger._entries if entry.is_held]
            known = {id(entry): self._entries[id(entry)] for entry in entries if id(entry) in self._entries}
            held = [HeldSegment(key, one.text, len(one.frames), one.lead) for one, key in known.values()]
        self._entries = known | {at: pair for at, pair in self._entries.items() if pair[1] in waiting}
        return held

    @property
    def used(self) -> int:
        """Positions of the model's context that are taken."""
        with self._session.lock:
            return self._session.ledger.length + self._session.continued

    @property
    def positions(self) -> int:
        """Positions that the model's context has."""
        return self._talk._scheduler.model.positions

    def _entry_of(self, buffer: FrameBuffer) -> Entry | None:
        """Return the entry of an utterance, wherever it is on its way."""
        session = self._session
        with self._talk._scheduler.registry._lock:  # else it could be between waiting and live
            jobs = [*session.jobs, session.live, *session.unread]
        for job in jobs:
            if getattr(job, "buffer", None) is buffer:
                entry: Entry = job.entry  # type: ignore[union-attr, assignment]
                return entry
        return None

    def _find(self, key: Key) -> Entry | None:
        return next((entry for entry, known in self._entries.values() if known == key), None)

    def _stacked(self, frames: list[Codes]) -> Codes:
        count = self._talk._scheduler.model.config.codebooks
        return np.array(frames, dtype=np.int32).reshape(-1, count)
