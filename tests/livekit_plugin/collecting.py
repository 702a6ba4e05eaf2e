"""Taking what a stream gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from livekit.agents import APIConnectOptions
from livekit.agents import tts as base
from livekit.agents.metrics import TTSMetrics
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, TimedString

from csm_plugin.livekit.tts import TTS

QUICK = APIConnectOptions(max_retry=3, retry_interval=0.01, timeout=0.2)


@dataclass
class Reports:
    """What a TTS reported."""

    metrics: list[TTSMetrics] = field(default_factory=list)
    errors: list[base.TTSError] = field(default_factory=list)

    @classmethod
    def of(cls, tts: base.TTS[Any]) -> Reports:
        reports = cls()
        tts.on("metrics_collected", reports.metrics.append)
        tts.on("error", reports.errors.append)
        return reports


async def collect(stream: AsyncIterable[base.SynthesizedAudio]) -> list[base.SynthesizedAudio]:
    """All events of a stream."""
    return [event async for event in stream]


async def say(tts: TTS, *deltas: str, options: APIConnectOptions = QUICK) -> list[base.SynthesizedAudio]:
    """Stream a reply; return all events."""
    async with tts.stream(conn_options=options) as stream:
        for delta in deltas:
            stream.push_text(delta)
        stream.end_input()
        return await collect(stream)


def pcm(events: Sequence[base.SynthesizedAudio]) -> npt.NDArray[np.int16]:
    """The sound of some events, int16 [samples]."""
    return np.concatenate([np.zeros(0, np.int16), *(np.frombuffer(event.frame.data, np.int16) for event in events)])


def words(events: Sequence[base.SynthesizedAudio]) -> list[TimedString]:
    """The timed words of some events."""
    return [word for event in events for word in event.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])]


async def until(holds: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    """Wait until something holds that no event tells of."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
