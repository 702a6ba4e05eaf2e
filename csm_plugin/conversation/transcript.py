"""What is said in a recording: whether a text can be that, and cutting both at one place."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from csm_plugin.audio.recording import MARGIN_S, Pause, Recording
from csm_plugin.conversation.durations import expected_s
from csm_plugin.conversation.words import split_words
from csm_plugin.errors import VoiceError
from csm_plugin.text.sentences import split_sentences

FASTEST: Final = 0.6
SLOWEST: Final = 1.7
"""How long speech may take, as factors on what its text takes at an ordinary pace; csm-tiny's voices take 0.88 to
1.36."""

MIN_KEPT_S: Final = 10.0

SURE: Final = 3.0
"""How much more every other reading must cost for a pause to be the end of a sentence: 20 times less likely."""

MAX_COST: Final = 0.8
"""Of a sentence in the mean, of the whole text and of what is kept. Recordings of csm-tiny's eight voices cost 0.02 to
0.40 with their texts, up to 1.4 with a sentence left out, and as a whole 0.5 to 1.7 with another text."""

_STOPS: Final = ".!?"
_SPREAD, _SPREAD_S = 0.12, 0.1  # of a sentence's duration: a share of it, and a constant
_SHORT_PAUSE = 2.0  # cost of a pause that is e times shorter than the pauses between sentences
_RUN_ON = 4.0  # cost of a sentence's end without a pause
_MOST_RUN_ON = 3

Costs = npt.NDArray[np.float64]


def usual_s(text: str) -> float:
    """Return how long a normalised text takes at an ordinary pace, without pauses, in seconds."""
    return float(expected_s(split_words(text)).sum())


def check_pace(text: str, recording: Recording) -> float:
    """Return how much longer a recording speaks than its normalised text takes at an ordinary pace.

    Raises:
        VoiceError: so much that the text cannot be what is said in it.
    """
    usual, spoken = usual_s(text), recording.speech_s
    pace = spoken / max(usual, 1e-3)
    if not FASTEST <= pace <= SLOWEST:
        raise VoiceError(
            f"the text is not what is said in the recording: its {len(text.split())} words take about {usual:.1f} s, "
            f"and the recording speaks for {spoken:.1f} s, where {usual * FASTEST:.1f} to {usual * SLOWEST:.1f} s are "
            "likely; give exactly the words that are said"
        )
    return pace


def cut(text: str, recording: Recording, max_seconds: float) -> tuple[str, Recording]:
    """Cut a recording at a pause and its text at the end of a sentence, so that both still say the same.

    Every way to read the sentences between the pauses costs what its sentences' durations are off from the usual ones
    at the pace of the whole. The last pause is taken of which the cheapest way is sure.

    Args:
        text: normalised, of all of the recording.
        max_seconds: of what is kept.

    Raises:
        VoiceError: no pause is surely the end of a sentence.
        AudioError: what would be kept cannot be used by itself.
    """
    readings = _Readings(text, recording)
    within = [
        number for number, pause in enumerate(readings.pauses) if MIN_KEPT_S <= pause.start_s <= max_seconds - MARGIN_S
    ]
    for number in reversed(within):
        end = readings.surely_at(number)
        if end is not None:
            return text[:end], recording.until(readings.pauses[number])
    raise VoiceError(
        f"the recording is {recording.seconds:.1f} s long, at most {max_seconds:g} s can be used, and none of its "
        f"{len(within)} pauses from {MIN_KEPT_S:g} s on is surely the end of one of the text's {len(readings.ends)} "
        "sentences; give a part of it as a recording of its own, with the text of that part"
    )


class _Readings:
    """All ways to place the ends of a text's sentences at the pauses of its recording, and what they cost."""

    def __init__(self, text: str, recording: Recording) -> None:
        self.ends = _sentence_ends(text)
        self.pauses: list[Pause] = recording.pauses
        usual = np.array([0.0, *(usual_s(text[:end]) for end in self.ends)])
        usual *= recording.speech_s / max(usual[-1], 1e-3)
        spoken = np.array([0.0, *(pause.spoken_s for pause in self.pauses), recording.speech_s])
        shortness = _shortness(np.array([pause.seconds for pause in self.pauses]), len(self.ends) - 1)
        self._before = _cheapest(usual, spoken, shortness)
        after = _cheapest(usual[-1] - usual[::-1], spoken[-1] - spoken[::-1], shortness[::-1])[::-1, ::-1]
        self._through = self._before + after - shortness  # [sentence ends, pauses]

    def surely_at(self, number: int) -> int | None:
        """Return which end of a sentence, as a place in the text, a pause is; None if that is not sure."""
        place = number + 1
        inner = self._through[1:-1, 1:-1]
        if not inner.size:
            return None
        sentence = int(inner[:, number].argmin()) + 1
        others = self._through.copy()
        others[sentence, place] = np.inf
        next_best = min(float(others[1:-1, place].min()), float(others[sentence, 1:-1].min()))
        best = float(self._before[-1, -1])
        is_best = float(self._through[sentence, place]) - best < 1e-6
        fits = max(best / len(self.ends), float(self._before[sentence, place]) / sentence) <= MAX_COST
        return self.ends[sentence - 1] if is_best and fits and next_best - best >= SURE else None


def _cheapest(usual: Costs, spoken: Costs, shortness: Costs) -> Costs:
    """Return the cost of the cheapest reading that has each sentence end at each pause; [sentence ends, pauses].

    Args:
        usual: seconds that the text takes up to each end, from 0; [sentence ends].
        spoken: seconds that are spoken up to each pause, from 0; [pauses].
        shortness: what it costs to take each pause; [pauses].
    """
    costs = np.full((len(usual), len(spoken)), np.inf)
    costs[0, 0] = 0.0
    lasting = spoken[None, :] - spoken[:, None]  # [from, to]
    for end in range(1, len(usual)):
        for run_on in range(min(_MOST_RUN_ON, end)):
            start = end - run_on - 1
            expected = usual[end] - usual[start]
            off = (lasting - expected) / (_SPREAD_S + _SPREAD * expected)
            ways = np.where(lasting > 0, costs[start][:, None] + off**2 / 2 + _RUN_ON * run_on, np.inf)
            costs[end] = np.minimum(costs[end], ways.min(axis=0) + shortness)
    return costs


def _shortness(seconds: Costs, between: int) -> Costs:
    """Return what it costs that each pause is shorter than the `between` longest; [pauses + 2], 0 for both ends."""
    if not len(seconds) or between < 1:
        return np.zeros(len(seconds) + 2)
    usual = np.sort(seconds)[::-1][:between][-1]
    return np.pad(_SHORT_PAUSE * np.maximum(0.0, np.log(usual / seconds)), 1)


def _sentence_ends(text: str) -> list[int]:
    """Return where the sentences of a normalised text end."""
    ends, place = [], 0
    for piece in split_sentences(text):
        place = text.index(piece, place) + len(piece)
        if piece[-1] in _STOPS:
            ends.append(place)
    return [*(end for end in ends if end < len(text)), len(text)]
