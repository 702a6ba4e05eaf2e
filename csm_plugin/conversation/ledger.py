"""The truth about a conversation: who said what, in text and codes. Caches are made from it and disposable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation.heard import heard_text
from csm_plugin.conversation.segment import Codes, Entry, Positions, Segment
from csm_plugin.settings import FRAME_S

Tokenize = Callable[[str, int], npt.NDArray[np.int32]]


class Ledger:
    """The segments of one conversation, oldest first, behind a voice prompt that is never dropped.

    The current turn is what was spoken since the last `begin_turn`. Not thread-safe: its owner holds a lock.

    Args:
        codebooks: codes a frame.
        tokenize: (text, speaker) to tokens with begin and end; used again when a text is cut.
    """

    def __init__(self, codebooks: int, tokenize: Tokenize) -> None:
        self._codebooks = codebooks
        self._tokenize = tokenize
        self._prompt: list[Entry] = []
        self._entries: list[Entry] = []
        self._turn = 0  # index of the first entry of the current turn
        self._gone_frames = 0  # heard frames of the current turn, before all that is held of it

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the context holds, without the voice prompt."""
        return tuple(entry.segment(self._codebooks) for entry in self._entries if entry.is_held)

    @property
    def held(self) -> tuple[Entry, ...]:
        """The entries of these segments. For whoever holds the owner's lock."""
        return tuple(entry for entry in self._entries if entry.is_held)

    @property
    def length(self) -> int:
        """Context positions of all of it, closed."""
        return self.prompt_length + sum(entry.length for entry in self._entries)

    @property
    def prompt_length(self) -> int:
        """Context positions of the voice prompt."""
        return sum(entry.length for entry in self._prompt)

    def positions(self) -> Positions:
        """Return all context positions, int32 [length, 1 + codebooks]."""
        parts = [entry.positions(self._codebooks) for entry in (*self._prompt, *self._entries)]
        return np.concatenate(parts) if parts else np.empty((0, 1 + self._codebooks), dtype=np.int32)

    def set_prompt(self, prompt: Entry | None) -> None:
        """Put a voice prompt in front of everything, in place of the last one."""
        self._prompt = [] if prompt is None else [prompt]

    def append(self, entry: Entry) -> None:
        """Add a segment to the current turn."""
        self._entries.append(entry)

    def recall(self, entry: Entry, *, current: bool, gone_frames: int) -> None:
        """Add a segment that was said elsewhere.

        Args:
            current: whether it belongs to the current turn.
            gone_frames: heard frames of the current turn that stood before all that is recalled.
        """
        self._entries.append(entry)
        if not current:
            self.begin_turn()
        self._gone_frames = gone_frames

    def shorten(self, entry: Entry, frames: int) -> bool:
        """Keep the first delivered frames of a segment that is over, and the words in them; tell whether any went."""
        if entry.heard_frames <= frames or not any(one is entry for one in self.held):
            return False
        if not self.cut(entry, frames, ended=True):
            self.remove(entry)
        return True

    def hold(self, entry: Entry) -> None:
        """Keep a place for the other side's turn, whose sound is still being encoded; a new turn begins behind it."""
        if not entry.pending:
            entry.pending = True
            self._entries.append(entry)
            self.begin_turn()

    def add_turn(self, entry: Entry, frames: list[Codes]) -> None:
        """Add the other side's turn, in the place that was kept for it; what was said before it is settled."""
        entry.frames = frames
        if not entry.pending:
            self._entries.append(entry)
            self.begin_turn()
        entry.pending = False

    def remove(self, entry: Entry) -> None:
        """Take a segment out that nobody heard a word of."""
        index = next((i for i, held in enumerate(self._entries) if held is entry), None)
        if index is not None and index >= self._turn and entry.heard_frames:
            entry.withdrawn = True
        elif index is not None:
            del self._entries[index]
            self._turn -= index < self._turn

    def begin_turn(self) -> None:
        """Start a new turn: what is held so far is not touched by `cut_turn` any more."""
        self._entries = [entry for entry in self._entries if not entry.withdrawn]
        self._turn = len(self._entries)
        self._gone_frames = 0

    def cut_turn(self, heard_s: float | None) -> None:
        """Keep only what was heard of the current turn, sound and words, and begin a new turn.

        Args:
            heard_s: seconds of the turn's sound from its first delivered frame; None for all that is held.
        """
        if heard_s is None:
            self.begin_turn()
            return
        left = max(0, round(heard_s / FRAME_S) - self._gone_frames)
        kept = self._entries[: self._turn]
        for entry in self._entries[self._turn :]:
            frames = min(entry.heard_frames, left)
            left -= frames
            if entry.withdrawn:
                continue
            if frames == entry.heard_frames or self.cut(entry, frames, ended=True):
                kept.append(entry)
        self._entries = kept
        self.begin_turn()

    def cut(self, entry: Entry, heard_frames: int, *, ended: bool) -> bool:
        """Keep the first `heard_frames` delivered frames of a segment and the words that were heard in them.

        Args:
            ended: whether the segment's text was spoken to its end.

        Returns:
            whether any word was heard; if not, the segment has no place in the context.
        """
        spoken_s = entry.heard_frames * FRAME_S if ended else None
        del entry.frames[entry.lead + heard_frames :]
        return self._keep(entry, heard_text(entry.text, heard_frames * FRAME_S, spoken_s, entry.words))

    def cut_to_words(self, entry: Entry) -> bool:
        """Keep only the words of a segment whose times are known: the others were not said.

        Returns:
            as for `cut`.
        """
        return self._keep(entry, " ".join(word.text for word in entry.words))

    def _keep(self, entry: Entry, text: str) -> bool:
        if text != entry.text:
            entry.keep_text(text)
            entry.tokens = self._tokenize(text, entry.speaker)
        return bool(entry.heard_frames and text)

    def evict(self, keep: int, *, spare_last: bool = True) -> int:
        """Drop the oldest segments until at most `keep` positions are left; return how many were dropped.

        The voice prompt stays, whatever `keep` says, and so does the last segment if `spare_last`.
        """
        dropped = 0
        length = self.length
        while length > keep and dropped < len(self._entries) - spare_last:
            length -= self._entries[dropped].length
            dropped += 1
        self._gone_frames += sum(entry.heard_frames for entry in self._entries[self._turn : dropped])
        del self._entries[:dropped]
        self._turn = max(0, self._turn - dropped)
        return dropped
