"""What a stream spoke, and how much of it was heard."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from csm_plugin.conversation.heard import heard_text
from csm_plugin.conversation.words import Word
from csm_plugin.errors import TextError
from csm_plugin.livekit.pieces import Piece
from csm_plugin.livekit.transcript import PieceTranscript
from csm_plugin.settings import FRAME_S

if TYPE_CHECKING:
    from csm_plugin.conversation import SpeechChunk
    from csm_plugin.interface import SpeechConversation, SpeechUtterance


@dataclass(slots=True, eq=False)
class SpokenPiece:
    """One piece of a reply as it was spoken.

    Args:
        text: what is spoken, as the model reads it; empty for what cannot be spoken. Of a piece that was not spoken
            to its end, what the conversation kept of it.
        transcript: its written words.
        start_s: where in the take's sound it begins.
        frames: how many frames of it were taken from the engine.
        words: its spoken words so far, with their times.
    """

    text: str
    transcript: PieceTranscript
    start_s: float
    frames: int = 0
    words: list[Word] = field(default_factory=list)

    def add(self, frames: int, chunk: SpeechChunk) -> None:
        """Note a chunk that was taken from the engine."""
        self.frames += frames
        self.words.extend(chunk.words)

    def cut(self, played_s: float, written: int | None) -> int:
        """Return how many of its frames to keep.

        Args:
            played_s: where in the take's sound playing stopped.
            written: how many of its written words are known to have been heard; None if only the time is known.
        """
        played = min(max(round((played_s - self.start_s) / FRAME_S), 0), self.frames)
        if written is None or not self.text:
            return played
        words = self.transcript.tokens[written - 1].words if written else 0
        frames = range(self.frames + 1)
        fewest = min(bisect_left(frames, words, key=self._words_in), self.frames)
        most = max(bisect_right(frames, words, key=self._words_in) - 1, fewest)
        return min(max(played, fewest), most)

    def _words_in(self, frames: int) -> int:
        """How many spoken words its first frames hold, as the conversation's ledger judges it."""
        return len(heard_text(self.text, frames * FRAME_S, self.frames * FRAME_S, self.words).split())


class Take:
    """What one attempt of one stream speaks, in a conversation of its own or in the session's. For one event loop.

    Args:
        talk: where it is spoken.
        speech: the session's speech that it belongs to; None for a conversation of its own, which ends with it.
        normalize: whether the text is written out before it is spoken.
    """

    def __init__(self, talk: SpeechConversation, *, speech: object | None = None, normalize: bool = True) -> None:
        self.speech = speech
        self.pieces: list[SpokenPiece] = []
        self.seconds = 0.0
        """How much sound it has, silence in place of what cannot be spoken included."""
        self.put_off = False
        """Whether it is withdrawn before its first sound, and is to be spoken anew in another take."""
        self._talk = talk
        self._normalize = normalize

    def say(self, piece: Piece) -> tuple[SpokenPiece, SpeechUtterance | None]:
        """Begin to speak a piece; without an utterance where there is nothing in it to speak.

        Raises:
            CSMError: as `Conversation.speak` does; no TextError.
        """
        utterance = None
        try:
            utterance = self._talk.speak(piece.text, normalize=self._normalize)
        except TextError:
            spoken = SpokenPiece("", PieceTranscript(piece.written, ""), self.seconds)
        else:
            spoken = SpokenPiece(utterance.text, PieceTranscript(piece.written, utterance.text), self.seconds)
        self.pieces.append(spoken)
        return spoken, utterance

    def stop(self, spoken: SpokenPiece, utterance: SpeechUtterance) -> None:
        """The piece is over, at its end or before: what is left of it is not spoken. Never blocks."""
        utterance.cancel()
        if self.speech is not None and utterance.finish_reason != "end":
            kept = self._talk.segments[-1:] if spoken.frames else ()
            spoken.text = kept[0].text if kept and utterance.text.startswith(kept[0].text) else ""

    def withdraw(self, spoken: SpokenPiece) -> None:
        """A piece that gave no sound was not said."""
        self.pieces.remove(spoken)

    def end(self) -> None:
        """The stream is over. Never blocks."""
        if self.speech is None:
            self._talk.close()


def heard_frames(takes: Sequence[Take], played_s: Sequence[float], text: str) -> int:
    """Return how many frames of an interrupted reply to keep, so that what is kept are the words of `text`.

    Args:
        takes: the reply's takes, in the order in which they were spoken.
        played_s: how much was played of each take that has sound; those that are missing at the end were not played.
        text: what the session recorded of the reply.
    """
    takes = [take for take in takes if take.seconds]
    known = list(played_s)[max(0, len(played_s) - len(takes)) :]
    played = known + [0.0] * (len(takes) - len(known))
    pieces = [(piece, at_s) for take, at_s in zip(takes, played, strict=True) for piece in take.pieces]
    written = _written_words([piece for piece, _ in pieces], text)
    total = 0
    for index, (piece, at_s) in enumerate(pieces):
        goes_on = written is not None and any(written[index + 1 :])
        kept = piece.frames if goes_on else piece.cut(at_s, None if written is None else written[index])
        total += kept
        if kept < piece.frames:
            break
    return total


def _written_words(pieces: Sequence[SpokenPiece], text: str) -> list[int] | None:
    """How many written words of each piece `text` has; None if `text` is no beginning of what was spoken."""
    recorded, at = _letters(text), 0
    counts: list[int] = []
    for piece in pieces:
        count = 0
        for token in piece.transcript.tokens:
            letters = _letters(token.text)
            if not recorded.startswith(letters, at) and not letters.startswith(recorded[at:]):
                return None
            if at + len(letters) > len(recorded):
                return [*counts, count, *[0] * (len(pieces) - len(counts) - 1)]
            at += len(letters)
            count += 1
        counts.append(count)
    return counts if at == len(recorded) else None


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
