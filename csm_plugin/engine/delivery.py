"""Which frames of an utterance go to its reader, when, and with which words."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation import Word
from csm_plugin.conversation.frame_buffer import Frame
from csm_plugin.engine.word_times.clock import WordClock
from csm_plugin.engine.word_times.loudness import SILENCE_RMS
from csm_plugin.settings import FRAME_S

MAX_LEAD_FRAMES = 25
MAX_HELD_FRAMES = 12
TAIL_FRAMES = 1


class Delivery:
    """Holds back silence at both ends of an utterance, and gives each word to the frame in which it ends.

    For the device thread only.

    Args:
        clock: times the words.
        trim: False delivers every frame at once.
    """

    def __init__(self, clock: WordClock, *, trim: bool) -> None:
        self.gate = SilenceGate(trim=trim)
        """Decides what is heard."""
        self._clock = clock
        self._held: deque[Frame] = deque()
        self._words: deque[Word] = deque()
        self._delivered = 0  # frames
        self._last_end_s = 0.0  # of a word that was given to a frame

    def __len__(self) -> int:
        """How many frames are held back."""
        return len(self._held)

    def push(self, codes: npt.NDArray[np.int32], pcm: npt.NDArray[np.float32], token: float) -> None:
        """Take in the next frame.

        Args:
            codes: int32 [codebooks].
            pcm: float32 [samples].
            token: where the model's attention lies, as an index of the text's tokens; NaN if that is not known.
        """
        lead = self.gate.lead
        self.gate.push(pcm)
        if self.gate.lead == lead:
            self._held.append(Frame(codes, pcm))
            self._words.extend(self._clock.hear(pcm, token))

    def ready(self) -> list[Frame]:
        """Return the frames that may be delivered now, with the words that end in each, or were found to end before."""
        frames = []
        while self._delivered < self.gate.released:
            frame = self._held.popleft()
            begin_s, end_s = self._delivered * FRAME_S, (self._delivered + 1) * FRAME_S
            while self._words and self._words[0].end_s < end_s + 1e-6:
                frame.words += (self._placed(self._words.popleft(), begin_s, end_s),)
            self._delivered += 1
            frames.append(frame)
        return frames

    def finish(self, *, ended: bool) -> tuple[list[Frame], list[Word]]:
        """Return the last frames, and the words whose end was found out too late for a frame.

        Args:
            ended: whether the text was spoken to its end.
        """
        self.gate.finish()
        frames = self.ready()
        self._words.extend(self._clock.finish(ended=ended))
        late = [self._placed(word, 0.0, self._delivered * FRAME_S) for word in self._words]
        if frames:
            frames[-1].words += tuple(late)
            return frames, []
        return [], late if self._delivered else []

    def _placed(self, word: Word, begin_s: float, end_s: float) -> Word:
        """Return a word as it is given away: behind the last one, and ending between two times."""
        start_s = min(max(word.start_s, self._last_end_s), end_s)
        self._last_end_s = min(max(word.end_s, start_s, begin_s), end_s)
        return Word(word.text, start_s, self._last_end_s)


class SilenceGate:
    """Decides which frames of one utterance are delivered, and when.

    Silent frames before the first sound are dropped, at most 2 s of them. Silent frames after a sound are held until
    the next sound, which delivers them as a pause, or until the end, which drops all but one. A pause is held for at
    most 1 s.

    Args:
        trim: False delivers every frame at once.
    """

    def __init__(self, *, trim: bool) -> None:
        self._trim = trim
        self._begun = not trim
        self._held = 0
        self.lead = 0
        """Frames that were dropped before the first sound."""
        self.released = 0
        """Frames that may be delivered, counted from the first that is."""

    def push(self, pcm: npt.NDArray[np.float32]) -> None:
        """Judge the next frame [samples]; `released` then tells what may be delivered."""
        if not self._trim:
            self.released += 1
            return
        silent = bool(np.sqrt(np.mean(np.square(pcm))) < SILENCE_RMS)
        if silent and not self._begun and self.lead < MAX_LEAD_FRAMES:
            self.lead += 1
            return
        self._begun = True
        self._held += 1
        if not silent or self._held > MAX_HELD_FRAMES:
            self.released += self._held
            self._held = 0

    def finish(self) -> None:
        """The utterance ended: release the start of its tail, drop the rest."""
        self.released += min(self._held, TAIL_FRAMES)
        self._held = 0
