"""Speech as single Opus packets, for sockets."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import numpy.typing as npt

from csm_plugin.audio import to_int16
from csm_plugin.server.formats.av_frames import TIME_BASE, frame_of
from csm_plugin.settings import SAMPLE_RATE_HZ

PACKET_SAMPLES = 480
"""20 ms."""


class OpusPackets:
    """Encodes 24 kHz mono sound; every 20 ms give a packet at once. For one thread."""

    def __init__(self) -> None:
        codec: Any = av.CodecContext.create("libopus", "w")
        codec.sample_rate = SAMPLE_RATE_HZ
        codec.layout = "mono"
        codec.format = "s16"
        codec.bit_rate = 32_000
        codec.time_base = TIME_BASE
        codec.options = {"application": "audio", "frame_duration": "20"}
        codec.thread_count = 1
        self._codec = codec
        self._samples = 0

    def encode(self, pcm: npt.NDArray[np.float32]) -> list[bytes]:
        """Take a whole number of packets' samples in; return the packets."""
        samples = to_int16(pcm)
        packets: list[bytes] = []
        for start in range(0, len(samples), PACKET_SAMPLES):
            frame = frame_of(samples[start : start + PACKET_SAMPLES], self._samples)
            packets += map(bytes, self._codec.encode(frame))
            self._samples += PACKET_SAMPLES
        return packets
