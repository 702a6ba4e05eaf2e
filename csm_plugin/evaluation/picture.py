"""An evaluation, drawn. Needs matplotlib, which is imported when something is drawn."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from csm_plugin.evaluation.dialogue import Condition
from csm_plugin.evaluation.ending import LONGEST, SHORTEST
from csm_plugin.evaluation.errors import EvaluationError
from csm_plugin.evaluation.reading import Reading
from csm_plugin.evaluation.table import Row, by_voice, share, word_error
from csm_plugin.extras import install_command

_GOOD, _BAD, _PLAIN = "#2a7f62", "#c0392b", "#34618f"
_TURNS_TOGETHER = 5
_DOTS_PER_INCH = 90


def require() -> None:
    """Check that pictures can be drawn.

    Raises:
        EvaluationError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise EvaluationError(f"the picture needs matplotlib: {install_command('eval')}")


def draw(title: str, readings: Sequence[Reading], rows: Sequence[Row]) -> bytes:
    """Draw an evaluation as a PNG: word error and confusion of voices, pitch, lengths, turns, and the table.

    What was not measured stays empty.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(18, 14), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = figure.subplot_mosaic([["words", "voices"], ["pitch", "lengths"], ["turns", "table"]])
    _draw_words(panels["words"], readings)
    _draw_voices(panels["voices"], readings)
    _draw_pitch(panels["pitch"], readings)
    _draw_lengths(panels["lengths"], readings)
    _draw_turns(panels["turns"], readings)
    _write_table(panels["table"], rows)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DOTS_PER_INCH)
    return drawn.getvalue()


def _draw_words(axis: Any, readings: Sequence[Reading]) -> None:
    default = [item for item in readings if item.condition is Condition.DEFAULT]
    errors = {"default": word_error(default)} if default else {}
    errors |= {voice: word_error(items) for voice, items in by_voice(readings, Condition.PROMPT).items()}
    bars = axis.bar(list(errors), [100 * value for value in errors.values()], color=_PLAIN)
    axis.bar_label(bars, fmt="%.1f")
    axis.set(title="word error by voice", ylabel="%")


def _draw_voices(axis: Any, readings: Sequence[Reading]) -> None:
    voices = by_voice(readings, Condition.PROMPT)
    axis.set(title="voice asked for (rows) and found (columns), %")
    if not voices:
        axis.set_axis_off()
        return
    names = list(voices)
    shares = np.array(
        [[share(item.voice_found == name for item in items) for name in names] for items in voices.values()]
    )
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(names)), names, rotation=45)
    axis.set_yticks(range(len(names)), names)
    for (row, column), value in np.ndenumerate(shares):
        color = "white" if value > 0.5 else "black"
        axis.text(column, row, f"{100 * value:.0f}" if value else "", ha="center", va="center", color=color)


def _draw_pitch(axis: Any, readings: Sequence[Reading]) -> None:
    voices = by_voice(readings, Condition.PROMPT)
    axis.axhspan(0.9, 1.1, color=_GOOD, alpha=0.15)
    for place, items in enumerate(voices.values()):
        ratios = [item.pitch_ratio for item in items if item.pitch_ratio is not None]
        across = place + np.linspace(-0.3, 0.3, max(1, len(ratios)))[: len(ratios)]
        axis.plot(across, ratios, ".", color=_PLAIN)
    axis.set_xticks(range(len(voices)), list(voices))
    axis.set(title="pitch of output against voice prompt", ylabel="ratio of medians", yscale="log")
    axis.set_yticks([0.5, 0.75, 0.9, 1.0, 1.1, 1.5, 2.0], ["0.5", "0.75", "0.9", "1", "1.1", "1.5", "2"])
    axis.minorticks_off()


def _draw_lengths(axis: Any, readings: Sequence[Reading]) -> None:
    whole = [item for item in readings if item.condition in (Condition.DEFAULT, Condition.PROMPT)]
    kinds = {
        "ended, plausible": (_PLAIN, [item.length for item in whole if item.ended_well]),
        "ended, implausible": (_BAD, [item.length for item in whole if item.ended and not item.ended_well]),
        "runaway": ("black", [item.length for item in whole if not item.ended]),
    }
    bins = np.linspace(0, 4, 61).tolist()
    values = [np.minimum(lengths, bins[-1]) for _, lengths in kinds.values()]
    labels = [f"{name}: {len(lengths)}" for name, (_, lengths) in kinds.items()]
    axis.hist(values, bins=bins, stacked=True, color=[color for color, _ in kinds.values()], label=labels)
    axis.axvline(SHORTEST, color="gray", linestyle=":")
    axis.axvline(LONGEST, color="gray", linestyle=":")
    axis.set(title="length of speech against what its text leads to expect", xlabel="factor", ylabel="utterances")
    axis.legend(loc="upper right")


def _draw_turns(axis: Any, readings: Sequence[Reading]) -> None:
    axis.set(title=f"20 turns, {_TURNS_TOGETHER} together", xlabel="turn", ylabel="%")
    for condition, style in ((Condition.ALONE, "o-"), (Condition.ANSWERED, "s--")):
        spoken = [item for item in readings if item.condition is condition]
        last = max((item.turn for item in spoken), default=-1)
        groups = [
            [item for item in spoken if item.turn // _TURNS_TOGETHER == group]
            for group in range((last + _TURNS_TOGETHER) // _TURNS_TOGETHER)
        ]
        turns = [(group + 0.5) * _TURNS_TOGETHER for group in range(len(groups))]
        if not groups:
            continue
        axis.plot(
            turns, [100 * word_error(group) for group in groups], style, color=_BAD, label=f"{condition}: word error"
        )
        if spoken[0].voice is not None:
            right = [100 * share(item.in_right_voice for item in group) for group in groups]
            axis.plot(turns, right, style, color=_GOOD, label=f"{condition}: right voice")
    axis.set_ylim(bottom=0)
    if axis.lines:
        axis.legend(loc="center right")


def _write_table(axis: Any, rows: Sequence[Row]) -> None:
    axis.set_axis_off()
    marks = {True: _GOOD, False: _BAD, None: "black"}
    step = 1 / max(1, len(rows))
    for number, row in enumerate(rows):
        goal = f"   (goal {row.goal})" if row.goal else ""
        place = 1 - (number + 0.5) * step
        axis.text(0, place, f"{row.name}: {row.figure}{goal}", color=marks[row.passed], va="center", wrap=True)
