"""How long a caller waits for sound, against how long the sound lasts."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ChunkTime:
    """One chunk.

    Args:
        wait_s: how long the caller waited for it.
        audio_s: how long it lasts.
    """

    wait_s: float
    audio_s: float

    @property
    def rtf(self) -> float:
        """Real-time factor: below 1 is faster than it is heard."""
        return self.wait_s / self.audio_s


@dataclass(slots=True)
class StreamTimes:
    """All chunks of a stream so far; what the caller does between chunks is not counted."""

    chunks: list[ChunkTime] = field(default_factory=list)

    def add(self, wait_s: float, samples: int, sample_rate: int) -> ChunkTime:
        """Note a chunk, and return it."""
        self.chunks.append(ChunkTime(wait_s, samples / sample_rate))
        return self.chunks[-1]

    @property
    def first_chunk_s(self) -> float | None:
        """How long the first chunk took; None without one."""
        return self.chunks[0].wait_s if self.chunks else None

    @property
    def wait_s(self) -> float:
        """How long the caller waited."""
        return sum(chunk.wait_s for chunk in self.chunks)

    @property
    def audio_s(self) -> float:
        """How long the sound lasts."""
        return sum(chunk.audio_s for chunk in self.chunks)

    @property
    def rtf(self) -> float | None:
        """Overall real-time factor; None without a chunk."""
        return self.wait_s / self.audio_s if self.chunks else None

    @property
    def chunk_rtfs(self) -> tuple[float, float, float] | None:
        """The least, the mean and the greatest of the chunks; None without one."""
        factors = [chunk.rtf for chunk in self.chunks]
        return (min(factors), statistics.fmean(factors), max(factors)) if factors else None
