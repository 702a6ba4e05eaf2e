"""What the server counts and measures, as Prometheus reads it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from csm_plugin.settings import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from csm_plugin.conversation import SpeechChunk, Utterance
    from csm_plugin.server.shared.supervisor import EngineKeeper

FIRST_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters and gauges of one server. For one event loop.

    Args:
        keeper: whose engine is looked at when somebody asks.
    """

    def __init__(self, keeper: EngineKeeper) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "csm_requests", "Requests, by route and status.", ("route", "status"), registry=self.registry
        )
        self.utterances = Counter(
            "csm_utterances", "Utterances that are over, by reason.", ("reason",), registry=self.registry
        )
        self.audio = Counter("csm_audio_seconds", "Speech that was made, in seconds.", registry=self.registry)
        self.first = Histogram(
            "csm_first_audio_seconds", "From a text's arrival to its first sound, without waiting in a conversation.",
            buckets=FIRST_S, registry=self.registry,
        )  # fmt: skip
        self.sockets = Gauge("csm_sockets", "Open WebSockets.", registry=self.registry)
        self.registry.register(_EngineMetrics(keeper))

    @contextlib.contextmanager
    def utterance(self, utterance: Utterance) -> Iterator[Callable[[SpeechChunk], None]]:
        """Measure an utterance in the block; call the result with each of its chunks."""
        began, first = time.perf_counter(), True

        def note(chunk: SpeechChunk) -> None:
            nonlocal first
            if first:
                self.first.observe(time.perf_counter() - began)
                first = False
            self.audio.inc(len(chunk.pcm) / SAMPLE_RATE_HZ)

        try:
            yield note
        finally:
            self.utterances.labels(utterance.finish_reason or "cancelled").inc()

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self.registry)


class _EngineMetrics:
    """Reads the engine's own counts when asked."""

    def __init__(self, keeper: EngineKeeper) -> None:
        self._keeper = keeper

    def collect(self) -> Iterable[Metric]:
        """Give the gauges."""
        keeper = self._keeper
        yield GaugeMetricFamily("csm_ready", "Whether the engine can speak.", value=keeper.is_ready)
        yield GaugeMetricFamily("csm_engine_restarts", "How often the engine was loaded again.", value=keeper.restarts)
        if keeper.is_ready:
            stats = keeper.engine.stats()
            yield GaugeMetricFamily("csm_live_rows", "Rows that speak.", value=stats.live_rows)
            yield GaugeMetricFamily("csm_free_rows", "Rows that could speak.", value=stats.free_rows)
            yield GaugeMetricFamily("csm_queued", "Conversations that wait for a row.", value=stats.queued)
            yield GaugeMetricFamily("csm_conversations", "Open conversations.", value=stats.conversations)
            yield GaugeMetricFamily("csm_frames", "Frames made since the engine's start.", value=stats.frames_stepped)
