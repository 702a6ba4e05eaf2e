"""The figures of an evaluation, and what csm-tiny should reach."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from csm_plugin.evaluation.dialogue import Condition
from csm_plugin.evaluation.parity import Parity
from csm_plugin.evaluation.reading import Reading
from csm_plugin.evaluation.speed import Speed

_MOST_DEFAULT_ERROR = 0.08
_MOST_VOICE_ERROR = 0.15
_LEAST_ENDED = 0.995
_LEAST_RIGHT_VOICE, _FEWEST_VOICES = 0.9, 6
_FEWEST_IDS = 4
_LEAST_NEAR_PITCH = 0.8
_MOST_DRIFT = 0.03
_LAST_TURNS = 5
_MOST_APART = 0.03
_MOST_OTHERWISE = 0.005  # of the codes of recordings: rounding, not another codec
_MOST_RTF = 0.15


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Args:
        part: of the evaluation.
        name: what is measured.
        figure: what was measured.
        goal: what csm-tiny should reach, empty where there is no goal.
        passed: whether it was reached, None where there is no goal or nothing to measure.
        more: what else is worth knowing.
    """

    part: str
    name: str
    figure: str
    goal: str = ""
    passed: bool | None = None
    more: str = ""


def rows(
    parts: Iterable[str], readings: Sequence[Reading], parity: Parity | str | None, speed: Speed | None, goals: bool
) -> list[Row]:
    """The table.

    Args:
        parts: of the evaluation that were asked for.
        readings: of all of them.
        parity: or why there is none.
        speed: if it was measured.
        goals: whether the goals of csm-tiny apply.
    """
    found: list[Row] = []
    makers: dict[str, Callable[[], list[Row]]] = {
        "words": lambda: _words(readings),
        "endings": lambda: _endings(readings),
        "voices": lambda: _voices(readings),
        "pitch": lambda: _pitch(readings),
        "turns": lambda: [_turns(readings, Condition.ALONE), _turns(readings, Condition.ANSWERED)],
        "parity": lambda: _parity(parity, readings),
        "speed": lambda: _speed(speed),
    }
    for part, make in makers.items():
        found += make() if part in parts else []
    return found if goals else [replace(row, goal="", passed=None) for row in found]


def word_error(readings: Iterable[Reading]) -> float:
    """Word errors divided by words; nan without any."""
    counted = [(reading.word_errors, reading.words) for reading in readings if reading.heard is not None]
    words = sum(count for _, count in counted)
    return sum(wrong for wrong, _ in counted) / words if words else float("nan")


def by_voice(readings: Iterable[Reading], condition: Condition) -> dict[str, list[Reading]]:
    """The readings of a condition, by the voice that was asked for."""
    found: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        if reading.condition is condition and reading.voice is not None:
            found[reading.voice].append(reading)
    return dict(found)


def share(values: Iterable[bool]) -> float:
    """The share that is true; nan of nothing."""
    counted = list(values)
    return sum(counted) / len(counted) if counted else float("nan")


def _words(readings: Sequence[Reading]) -> list[Row]:
    default = [reading for reading in readings if reading.condition is Condition.DEFAULT]
    error = word_error(default)
    whole = Row(
        "words",
        "word error, default voice",
        f"{error:.1%}",
        f"≤ {_MOST_DEFAULT_ERROR:.0%}",
        error <= _MOST_DEFAULT_ERROR,
        f"{len(default)} readings, last word heard in {share(bool(item.last_word_heard) for item in default):.0%}",
    )
    errors = {name: word_error(items) for name, items in by_voice(readings, Condition.PROMPT).items()}
    name, goal = "word error, every voice prompt", f"≤ {_MOST_VOICE_ERROR:.0%}"
    if not errors:
        return [whole, _without_prompts("words", name, goal)]
    worst = max(errors, key=lambda voice: errors[voice])
    told = ", ".join(f"{voice} {value:.0%}" for voice, value in sorted(errors.items(), key=lambda item: item[1]))
    figure = f"{errors[worst]:.1%} at worst"
    return [whole, Row("words", name, figure, goal, errors[worst] <= _MOST_VOICE_ERROR, told)]


def _endings(readings: Sequence[Reading]) -> list[Row]:
    whole = [item for item in readings if item.condition in (Condition.DEFAULT, Condition.PROMPT)]
    good = share(item.ended_well for item in whole)
    faults = {
        "runaway": sum(not item.ended for item in whole),
        "of implausible length": sum(item.ended and not item.ended_well for item in whole),
        "broken off": sum(item.ended and item.broken_off for item in whole),
        "with long silence behind": sum(item.trails_off for item in whole),
    }
    told = ", ".join(f"{count} {fault}" for fault, count in faults.items())
    name = "ended by itself, length plausible"
    return [Row("endings", name, f"{good:.1%}", f"≥ {_LEAST_ENDED:.1%}", good >= _LEAST_ENDED, told)]


def _voices(readings: Sequence[Reading]) -> list[Row]:
    found = []
    for condition, name in (
        (Condition.PROMPT, "voice follows the voice prompt"),
        (Condition.EARLIER, "voice follows the earlier turns"),
    ):
        voices = by_voice(readings, condition)
        goal = f"≥ {_LEAST_RIGHT_VOICE:.0%} of ≥ {_FEWEST_VOICES}"
        if len(voices) < 2:
            found.append(_without_prompts("voices", name, goal))
            continue
        right = share(item.in_right_voice for items in voices.values() for item in items)
        rates = {voice: share(item.in_right_voice for item in items) for voice, items in voices.items()}
        told = ", ".join(f"{voice} {rate:.0%}" for voice, rate in sorted(rates.items(), key=lambda item: -item[1]))
        passed = right >= _LEAST_RIGHT_VOICE and len(voices) >= _FEWEST_VOICES
        found.append(Row("voices", name, f"{right:.1%} of {len(voices)} voices", goal, passed, told))
    return [*found, _speaker_ids(readings)]


def _speaker_ids(readings: Sequence[Reading]) -> Row:
    spoken: dict[int, list[str | None]] = defaultdict(list)
    for reading in readings:
        if reading.condition is Condition.SPEAKER_ID:
            spoken[reading.speaker].append(reading.voice_found)
    name, goal = "speaker ids without context name voices", f"≥ {_FEWEST_IDS}"
    if not spoken:
        return _without_prompts("voices", name, goal)
    usual = {speaker: Counter(voices).most_common(1)[0] for speaker, voices in spoken.items()}
    steady = {
        voice
        for speaker, (voice, times) in usual.items()
        if voice is not None and times >= _LEAST_RIGHT_VOICE * len(spoken[speaker])
    }
    told = ", ".join(
        f"{speaker} {voice or 'silence'} {times / len(spoken[speaker]):.0%}"
        for speaker, (voice, times) in sorted(usual.items())
    )
    figure = f"{len(steady)} different voices"
    return Row("voices", name, figure, goal, len(steady) >= _FEWEST_IDS, told)


def _pitch(readings: Sequence[Reading]) -> list[Row]:
    prompted = [item for items in by_voice(readings, Condition.PROMPT).values() for item in items]
    name, goal = "pitch within 10 % of the voice prompt's", f"≥ {_LEAST_NEAR_PITCH:.0%}"
    if not prompted:
        return [_without_prompts("pitch", name, goal)]
    near = share(item.pitch_is_near for item in prompted)
    ratios = [item.pitch_ratio for item in prompted if item.pitch_ratio is not None]
    told = f"median ratio {np.median(ratios):.2f}" if ratios else "nothing is voiced"
    return [Row("pitch", name, f"{near:.0%}", goal, near >= _LEAST_NEAR_PITCH, told)]


def _turns(readings: Sequence[Reading], condition: Condition) -> Row:
    spoken = [item for item in readings if item.condition is condition]
    goal = f"≤ + {100 * _MOST_DRIFT:.0f} points"
    if not spoken:
        return _without_prompts("turns", condition.value, goal)
    turns = 1 + max(item.turn for item in spoken)
    first = [item for item in spoken if item.turn < _LAST_TURNS]
    last = [item for item in spoken if item.turn >= turns - _LAST_TURNS]
    drift = word_error(last) - word_error(first)
    figure = f"word error {word_error(first):.1%} → {word_error(last):.1%}"
    runaway = sum(not item.ended for item in spoken)
    told, stays = f"last {_LAST_TURNS} against first; {runaway} of {len(spoken)} runaway", True
    if spoken[0].voice is not None:
        before, after = (share(item.in_right_voice for item in part) for part in (first, last))
        figure += f", right voice {before:.0%} → {after:.0%}"
        stays = after >= before - _MOST_DRIFT
    return Row("turns", condition.value, figure, goal, drift <= _MOST_DRIFT and stays, told)


def _parity(parity: Parity | str | None, readings: Sequence[Reading]) -> list[Row]:
    name, goal = "transformers' generate: same greedy codes", "all"
    if not isinstance(parity, Parity):
        return [Row("parity", name, "not measured", goal, more=parity or "")]
    pairs = [pair for pair in parity.greedy if pair.comparable]
    equal = sum(pair.equal for pair in pairs)
    recorded, otherwise = (sum(getattr(pair, name) for pair in parity.greedy) for name in ("recorded", "otherwise"))
    told = f"{sum(pair.voice is not None for pair in pairs)} after a recording"
    if otherwise:
        told += (
            f"; left out: {len(parity.greedy) - len(pairs)} whose recordings differ in {otherwise} of {recorded} codes"
        )
    passed = bool(pairs) and equal == len(pairs) and otherwise <= _MOST_OTHERWISE * recorded
    codes = Row("parity", name, f"{equal} of {len(pairs)}", goal, passed, told)
    wrong = sum(item.word_errors for item in parity.sampled)
    theirs = wrong / max(1, sum(item.words for item in parity.sampled))
    texts = {item.text for item in parity.sampled}
    ours = word_error(item for item in readings if item.condition is Condition.DEFAULT and item.text in texts)
    words = Row(
        "parity",
        "transformers' generate: same word error",
        f"{theirs:.1%}, ours {ours:.1%}",
        f"± {100 * _MOST_APART:.0f} points",
        abs(theirs - ours) <= _MOST_APART,
        f"{len(parity.sampled)} sentences",
    )
    return [codes, words]


def _speed(speed: Speed | None) -> list[Row]:
    if speed is None:
        return []
    on_gpu = speed.device != "cpu"
    figure = speed.rtf if on_gpu else speed.processor_rtf
    told = f"first sound after {1000 * speed.first_sound_s:.0f} ms"
    if not on_gpu:
        told = f"wall clock {speed.rtf:.2f} beside whatever else ran, {told}"
    name = f"RTF on {speed.device}" if on_gpu else "RTF on one core"
    return [Row("speed", name, f"{figure:.3f}", f"≤ {_MOST_RTF}", figure <= _MOST_RTF, told)]


def _without_prompts(part: str, name: str, goal: str) -> Row:
    return Row(
        part, name, "not measured", goal, more="needs voice prompts: in voices/ of the checkpoint, or CSM_VOICES"
    )
