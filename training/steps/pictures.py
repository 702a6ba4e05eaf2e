"""Pictures of training: spectrograms and curves of losses."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from csm_plugin.settings import SAMPLE_RATE_HZ
from training import files

_WINDOW, _HOP = 1024, 128
_HIGHEST_HZ = 5_000


def spectrograms(path: Path, recordings: Sequence[tuple[str, np.ndarray]], columns: int = 2) -> None:
    """Draw the low part of the spectrograms of recordings (name, float32 [samples] at 24 kHz), row by row."""
    rows = -(-len(recordings) // columns)
    figure = Figure(figsize=(8 * columns, 2.2 * rows))
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, (name, audio) in zip(axes.flat, recordings, strict=False):
        padded = np.pad(audio, (0, max(0, _WINDOW - len(audio))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * np.hanning(_WINDOW)
        level = 20 * np.log10(np.abs(np.fft.rfft(frames, axis=1)).T + 1e-2)
        top = int(_HIGHEST_HZ / SAMPLE_RATE_HZ * _WINDOW)
        extent = (0.0, len(audio) / SAMPLE_RATE_HZ, 0.0, _HIGHEST_HZ / 1000)
        axis.imshow(level[:top], origin="lower", aspect="auto", extent=extent, vmin=-25, vmax=35, cmap="magma")
        axis.set_title(name, fontsize=9)
    _write(figure, path)


def losses(path: Path, log: Path, smooth: int = 50) -> None:
    """Draw every loss of a stage's log, smoothed over some steps."""
    files.require(log, log.stem)
    notes = [json.loads(line) for line in log.read_text().splitlines()]
    names = [name for name in notes[-1] if name not in ("step", "positions", "gradient")]
    rows = -(-len(names) // 3)
    figure = Figure(figsize=(15, 3 * rows))
    axes = figure.subplots(rows, 3, squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        values = np.array([note.get(name, np.nan) for note in notes])
        width = min(smooth, len(values))
        steps = np.array([note["step"] for note in notes])[width - 1 :]
        axis.plot(steps, np.convolve(values, np.ones(width) / width, mode="valid"))
        axis.set_title(name, fontsize=9)
        axis.grid(alpha=0.3)
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.tight_layout()
    beside = path.with_name(path.name + ".part")
    figure.savefig(beside, format="png", dpi=60)
    beside.replace(path)
