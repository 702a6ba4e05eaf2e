"""Faster or slower speech at the same pitch, a piece at a time."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from csm_plugin.server.formats.av_frames import TIME_BASE, frame_of, samples_of
from csm_plugin.settings import SAMPLE_RATE_HZ

Pcm = npt.NDArray[np.float32]
MIN_SPEED, MAX_SPEED = 0.25, 4.0


class Stretch:
    """Changes the tempo of 24 kHz mono sound with FFmpeg's `atempo`. For one thread.

    Above 2 `atempo` would skip samples and below 0.5 it refuses, so larger changes are made in two steps.

    Args:
        speed: 0.25 to 4; 1 passes sound through.
    """

    def __init__(self, speed: float) -> None:
        self._graph: Any = None
        self._samples = 0
        if speed == 1:
            return
        steps = [speed] if 0.5 <= speed <= 2 else [speed**0.5] * 2
        self._graph = av.filter.Graph()
        self._source = self._graph.add_abuffer(
            sample_rate=SAMPLE_RATE_HZ, format="flt", layout="mono", time_base=TIME_BASE
        )
        self._sink = self._graph.add("abuffersink")
        filters = [self._source, *(self._graph.add("atempo", f"{step:.6f}") for step in steps)]
        filters += [self._graph.add("aformat", "sample_fmts=flt"), self._sink]
        for one, following in itertools.pairwise(filters):
            one.link_to(following)
        self._graph.configure()

    def push(self, pcm: Pcm) -> Pcm:
        """Take float32 [samples] in; return what is ready, maybe nothing yet."""
        if self._graph is None or not len(pcm):
            return pcm
        self._source.push(frame_of(pcm, self._samples))
        self._samples += len(pcm)
        return _joined(self._pull())

    def finish(self) -> Pcm:
        """Return the rest; nothing may be pushed after that."""
        if self._graph is None:
            return np.zeros(0, np.float32)
        self._source.push(None)
        return _joined(self._pull())

    def _pull(self) -> Iterator[Pcm]:
        while True:
            try:
                yield samples_of(self._sink.pull())
            except (av.error.BlockingIOError, av.error.EOFError):
                return


async def stretched(pieces: AsyncGenerator[Pcm, None], speed: float) -> AsyncGenerator[Pcm, None]:
    """Change the tempo of sound as it comes, and close where it comes from."""
    stretch = Stretch(speed)
    async with contextlib.aclosing(pieces):
        async for pcm in pieces:
            yield stretch.push(pcm)
    yield stretch.finish()


def _joined(pieces: Iterator[Pcm]) -> Pcm:
    parts = list(pieces)
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
