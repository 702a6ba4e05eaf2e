"""A judge of what was played: does a recogniser read in it what was committed to the LLM's context?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice, product

import numpy as np

from csm_plugin.conversation import VoiceLibrary, VoicePrompt
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.model.checkpoint import BUNDLED
from csm_plugin.settings import SAMPLE_RATE_HZ

TURNS = 20
MAX_WORD_ERROR = 0.2
LONGEST_S = 7.0
SHORTER_S = (0.0, 0.1, 0.2)
PAUSE_S = 0.3


def replies(sentences: Sequence[str]) -> list[str]:
    """A reply of two sentences for each turn."""
    return [" ".join(islice(cycle(sentences), number, number + 2)) for number in range(0, 2 * TURNS, 2)]


REPLIES = replies(HELD_OUT)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in one turn.

    Args:
        committed: the words that the LLM's context has.
        heard: the words that the recogniser heard.
        wrong: word errors between them. An interrupted end may have a word more or less: of a word that is cut in two,
            who is to say whether it was heard?
    """

    committed: str
    heard: str
    wrong: int

    @property
    def words(self) -> int:
        """How many words were committed."""
        return len(self.committed.split())

    @property
    def is_right(self) -> bool:
        """Whether that is what was committed, as far as the recogniser can be trusted."""
        return self.wrong <= max(1, MAX_WORD_ERROR * self.words)


class Judge:
    """Is told of each turn while the conversation goes on, and reads them all when it is over."""

    def __init__(self) -> None:
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
            assert readings[-1].is_right, f"turn {number}: {readings[-1]}"
        word_error = sum(reading.wrong for reading in readings) / sum(reading.words for reading in readings)
        assert word_error <= MAX_WORD_ERROR, readings
        return word_error


def _read(played: np.ndarray, committed: str, reply: str) -> Reading:
    """Read a turn. The recogniser stumbles over a word that is cut in two, and over a few words without others before
    them: then it hears a little less of the turn, and hears it behind other sentences, too."""
    sound = played.astype(np.float32) / 32_768
    words, all_words = committed.split(), reply.split()
    cut_off = words != all_words
    ends = range(len(words) - 1, len(words) + 2) if cut_off else [len(words)]
    readings = []
    for sentence, shorter_s in product([None, *_sentences()], SHORTER_S if cut_off else SHORTER_S[:1]):
        heard = _hear(sound[: len(sound) - round(shorter_s * SAMPLE_RATE_HZ)], sentence)
        wrong = min(errors(" ".join(all_words[: max(0, end)]), heard)[0] for end in ends)
        readings.append(Reading(committed, heard, wrong))
        if readings[-1].is_right:
            break
    return min(readings, key=lambda reading: reading.wrong)


@cache
def _sentences() -> tuple[VoicePrompt, ...]:
    library = VoiceLibrary.beside(BUNDLED / "csm-tiny")
    return tuple(library.get(name) for name in library.names)


def _hear(sound: np.ndarray, behind: VoicePrompt | None) -> str:
    if behind is None:
        return hear(sound)
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    return hear(np.concatenate([behind.pcm, pause, sound])).removeprefix(plain(behind.text)).strip()
