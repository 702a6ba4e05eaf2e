"""A picture of a conversation's turns; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from csm_plugin.errors import MissingExtraError
from csm_plugin.extras import install_command
from csm_plugin.pipecat.turn import Stretch, Turn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

USER, AGENT, MARK, CUT, QUIET = "#3557a8", "#1f6f5c", "#8a6d1f", "#a8372c", "#6b6f76"
ROW_INCHES = 1.15
WIDTH_INCHES = 13.0
WORD_POINTS = 7
MARGIN, MARGIN_UNHEARD = 0.02, 0.12
"""At the right, as a share of the longest turn: there stand the words that nobody heard."""
MIN_WORD_GAP = 0.012
"""Words closer together than this share of the width are written together."""


def draw(turns: Sequence[Turn], path: Path) -> None:
    """Draw turns one below the other, on one scale; each begins at its left.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"a picture of the turns needs matplotlib: {install_command('eval')}") from error
    rows = max(1, len(turns))
    figure = Figure(figsize=(WIDTH_INCHES, ROW_INCHES * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    width_s = max([1.0, *(_end_s(turn) - _start_s(turn) for turn in turns)])
    width_s *= 1 + (MARGIN_UNHEARD if any(turn.interrupted_s is not None for turn in turns) else MARGIN)
    for axis, turn in zip(axes, turns, strict=False):
        _draw_turn(axis, turn, width_s)
    axes[-1].set_xlabel("seconds since the turn began")
    figure.savefig(path, dpi=110)


def _draw_turn(axis: Axes, turn: Turn, width_s: float) -> None:
    start_s, end_s = _start_s(turn), _end_s(turn)
    axis.set_xlim(0, width_s)
    axis.set_ylim(0, 3.4)
    axis.set_yticks([2.5, 1.0], ["user", "agent"])
    axis.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    for stretches, height, colour in ((turn.user_speech, 2.5, USER), (turn.spoken, 1.0, AGENT)):
        for stretch in stretches:
            left, right = stretch.start_s - start_s, (stretch.end_s or end_s) - start_s
            axis.barh(height, right - left, left=left, height=0.55, color=colour, alpha=0.85)
    marks = ((turn.first_token_s, "first token ", "right"), (turn.first_audio_s, " first sound", "left"))
    for moment_s, name, side in marks:
        if moment_s is not None:
            axis.plot([moment_s - start_s] * 2, [0.6, 1.9], color=MARK, linewidth=1)
            axis.text(moment_s - start_s, 1.65, name, color=MARK, fontsize=6, ha=side)
    if turn.interrupted_s is not None:
        axis.axvline(turn.interrupted_s - start_s, color=CUT, linewidth=1.2)
        axis.text(turn.interrupted_s - start_s, 3.05, " interrupted", color=CUT, fontsize=7)
    if turn.user_speech:
        axis.text(turn.user_speech[0].start_s - start_s, 3.05, turn.user_text, color=USER, fontsize=8)
    _write_words(axis, turn, start_s, width_s)
    delay_s = turn.reply_delay_s
    title = f"turn {turn.number}" + ("" if delay_s is None else f": answered after {delay_s * 1000:.0f} ms")
    axis.set_title(title, fontsize=8, loc="left", color=QUIET, pad=2)


def _write_words(axis: Axes, turn: Turn, start_s: float, width_s: float) -> None:
    """Write each word where it was heard, and behind them what was to follow."""
    taken_s = 0.0
    for word in turn.words:
        at_s = max(word.at_s - start_s, taken_s)
        axis.text(at_s, 0.2, word.text, fontsize=WORD_POINTS, ha="left", color="black")
        taken_s = at_s + (len(word.text) + 1) * width_s * MIN_WORD_GAP * 0.5
    missing = turn.said[len(turn.heard) :].strip() if turn.said.startswith(turn.heard) else ""
    if turn.interrupted_s is not None and missing:
        taken_s = max(taken_s, turn.interrupted_s - start_s + 0.005 * width_s)
        axis.text(taken_s, 0.2, missing, fontsize=WORD_POINTS, color=QUIET, alpha=0.6, clip_on=True)


def _start_s(turn: Turn) -> float:
    return min([*_moments(turn)], default=0.0)


def _end_s(turn: Turn) -> float:
    return max([*_moments(turn)], default=1.0)


def _moments(turn: Turn) -> list[float]:
    stretches: list[Stretch] = [*turn.user_speech, *turn.spoken]
    moments = [moment for stretch in stretches for moment in (stretch.start_s, stretch.end_s)]
    moments += [turn.first_token_s, turn.first_audio_s, turn.interrupted_s, *(word.at_s for word in turn.words)]
    return [moment for moment in moments if moment is not None]
