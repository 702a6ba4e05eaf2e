"""A judge of what was played: does a recogniser read in it what was committed to the LLM's context?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.settings import SAMPLE_RATE_HZ

TURNS = 20
MAX_WORD_ERROR = 0.2
LONGEST_S = 7.0
SHORTER_S = (0.0, 0.1, 0.2)
REPLIES = [" ".join(HELD_OUT[number : number + 2]) for number in range(0, 2 * TURNS, 2)]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in one turn.

    Args:
        committed: the words that the LLM's context has.
        heard: the words that the recogniser heard.
        wrong: word errors between them. An interrupted end may have a word more or less: of a word that is cut in two,
            who is to say whether it was heard?
        off: words by which another end of the reply fits better what was heard.
    """

    committed: str
    heard: str
    wrong: int
    off: int

    @property
    def words(self) -> int:
        """How many words were committed."""
        return len(self.committed.split())

    @property
    def is_clear(self) -> bool:
        """Whether that is what was committed, as far as the recogniser can be trusted."""
        return self.wrong <= max(1, MAX_WORD_ERROR * self.words)

    @property
    def is_right(self) -> bool:
        """Whether that is what was committed, however badly a word in it was understood."""
        return self.is_clear or self.off <= 1


class Judge:
    """Is told of each turn while the conversation goes on, and reads them all when it is over.

    Args:
        clear: whether each turn must be understood; else it must end where it was committed to, and all turns together
            must be understood.
    """

    def __init__(self, *, clear: bool = True) -> None:
        self._clear = clear
        self._turns: list[tuple[np.ndarray, str, str]] = []

    def __call__(self, played: np.ndarray, committed: str, reply: str) -> None:
        """Note a turn: what was played, int16 [samples] at 24 kHz, what was committed, and the whole reply."""
        self._turns.append((played, plain(committed), plain(reply)))

    def check(self) -> float:
        """Let the recogniser hear every turn. Blocks.

        Fails at a turn in which something else was heard than was committed.

        Returns:
            the word error of all turns.
        """
        readings = []
        for number, turn in enumerate(self._turns):
            readings.append(_read(*turn))
            right = readings[-1].is_clear if self._clear else readings[-1].is_right
            assert right, f"turn {number}: {readings[-1]}"
        word_error = sum(reading.wrong for reading in readings) / sum(reading.words for reading in readings)
        assert word_error <= MAX_WORD_ERROR, readings
        return word_error


def _read(played: np.ndarray, committed: str, reply: str) -> Reading:
    """Read a turn. The recogniser stumbles over a word that is cut in two: then it hears a little less of it, too."""
    sound = played.astype(np.float32) / 32_768
    words, all_words = committed.split(), reply.split()
    cut_off = words != all_words
    ends = range(len(words) - 1, len(words) + 2) if cut_off else [len(words)]
    readings = []
    for shorter_s in SHORTER_S if cut_off else SHORTER_S[:1]:
        heard = hear(sound[: len(sound) - round(shorter_s * SAMPLE_RATE_HZ)])
        wrong = min(errors(" ".join(all_words[: max(0, end)]), heard)[0] for end in ends)
        fits = [errors(" ".join(all_words[:end]), heard)[0] for end in range(len(all_words) + 1)]
        off = min(abs(end - len(words)) for end, found in enumerate(fits) if found == min(fits))
        readings.append(Reading(committed, heard, wrong, off))
        if readings[-1].is_clear:
            break
    return min(readings, key=lambda reading: reading.wrong)
