"""A conversation's context, told piece by piece to another machine, and taken over from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation import Entry, Turn, Utterance, Word
from csm_plugin.engine.registry import Registry
from csm_plugin.engine.session import Session
from csm_plugin.errors import InputError

if TYPE_CHECKING:
    from csm_plugin.model.config import ModelConfig
    from csm_plugin.model.tokenizer import SegmentTokenizer

Codes = npt.NDArray[np.int32]
Key = tuple[int, int]
"""The number that a client gave, and the piece."""


@dataclass(frozen=True, slots=True)
class HeldSegment:
    """A segment in the context, and how much of it is kept."""

    key: Key
    text: str
    frames: int
    lead: int


class Transfer:
    """The context of a conversation, by the numbers that the far side gave. For one thread beside the engine's.

    `Conversation.transfer` makes it.

    Args:
        gone_frames: heard frames of the current turn that will not be recalled.
    """

    def __init__(
        self, session: Session, registry: Registry, tokenizer: SegmentTokenizer, config: ModelConfig, gone_frames: int
    ) -> None:
        self._session = session
        self._registry = registry
        self._tokenizer = tokenizer
        self._config = config
        self._gone_frames = gone_frames
        self._entries: dict[int, tuple[Entry, Key]] = {}  # by identity

    def note_utterance(self, key: Key, utterance: Utterance) -> None:
        """Remember the segment of an utterance; before any of it is taken."""
        jobs = self._registry.speaking(self._session)
        entry = next((job.entry for job in jobs if utterance.reads(job.buffer)), None)
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
            entry = self._find(key)
            if entry is None or not self._session.ledger.shorten(entry, frames):
                return
            self._session.stale = True
        self._registry.wake()

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
        config, positions = self._config, self._config.backbone.positions
        if codes.ndim != 2 or codes.shape[1] != config.codebooks or len(codes) > positions:
            raise InputError(f"a segment has at most {positions} frames of {config.codebooks} codes")
        if lead > len(codes) or (codes.size and not 0 <= codes.min() <= codes.max() < config.codebook_size):
            raise InputError(f"codes are from 0 to {config.codebook_size - 1}, and no more frames lead than there are")
        entry = Entry(speaker, text, self._tokenizer.encode(text, speaker), list(codes), lead, list(words))
        self._session.hold_turns()
        with self._session.lock:
            self._session.ledger.recall(entry, current=current, gone_frames=self._gone_frames)
            self._session.ledger.evict(positions)
            self._entries[id(entry)] = (entry, key)
            self._session.stale = True
        self._registry.wake()

    def held(self, waiting: set[Key]) -> list[HeldSegment]:
        """Return what the context holds, oldest first, and forget what will not be in it any more.

        Args:
            waiting: what is still to be said.
        """
        with self._session.lock:
            held = self._session.ledger.held
            known = {id(entry): self._entries[id(entry)] for entry in held if id(entry) in self._entries}
            told = [HeldSegment(key, one.text, len(one.frames), one.lead) for one, key in known.values()]
        self._entries = known | {at: pair for at, pair in self._entries.items() if pair[1] in waiting}
        return told

    @property
    def used(self) -> int:
        """Positions of the model's context that are taken."""
        with self._session.lock:
            return self._session.ledger.length + self._session.continued

    @property
    def positions(self) -> int:
        """Positions that the model's context has."""
        return self._config.backbone.positions

    def _find(self, key: Key) -> Entry | None:
        return next((entry for entry, known in self._entries.values() if known == key), None)

    def _stacked(self, frames: list[Codes]) -> Codes:
        return np.array(frames, dtype=np.int32).reshape(-1, self._config.codebooks)
