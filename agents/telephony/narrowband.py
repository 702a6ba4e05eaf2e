"""From the voice's 24 kHz to the telephone's 8 kHz, inside the pipeline."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pipecat.frames.frames import Frame, TTSAudioRawFrame, TTSStoppedFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from csm_plugin.audio.decimator import TELEPHONE_RATE_HZ, Decimator
from csm_plugin.settings import SAMPLE_RATE_HZ

PACKET_SAMPLES = 160


class Narrowband(FrameProcessor):
    """Makes 8 kHz of each reply's sound, in whole packets of 20 ms; belongs between the voice and the transport.

    A reply's sound is one stream from its first frame to its stop: no sample is lost or made up where frames,
    sentences or packets meet. What is left of a reply that was interrupted is dropped.
    """

    def __init__(self) -> None:
        super().__init__()
        self._decimator = Decimator()
        self._rest = np.zeros(0, np.int16)
        self._last: TTSAudioRawFrame | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Replace the voice's sound; pass everything else on, behind the sound that came before it."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame) and frame.sample_rate == SAMPLE_RATE_HZ:
            await self._narrow(frame)
            return
        if isinstance(frame, TTSStoppedFrame):
            await self._finish(frame.context_id)
        await self.push_frame(frame, direction)

    async def _narrow(self, frame: TTSAudioRawFrame) -> None:
        if self._last is None or frame.context_id != self._last.context_id:
            self._decimator, self._rest = Decimator(), np.zeros(0, np.int16)
        self._last = frame
        sound = np.concatenate([self._rest, self._decimator.feed(np.frombuffer(frame.audio, np.int16))])
        whole = len(sound) - len(sound) % PACKET_SAMPLES
        self._rest = sound[whole:]
        await self._push_sound(sound[:whole], frame)

    async def _finish(self, reply: str | None) -> None:
        last, self._last = self._last, None
        if last is not None and last.context_id == reply:
            await self._push_sound(np.concatenate([self._rest, self._decimator.flush()]), last)

    async def _push_sound(self, sound: npt.NDArray[np.int16], like: TTSAudioRawFrame) -> None:
        if len(sound) == 0:
            return
        frame = TTSAudioRawFrame(sound.tobytes(), TELEPHONE_RATE_HZ, 1, context_id=like.context_id)
        frame.interruptible = like.interruptible
        frame.transport_destination = like.transport_destination
        await self.push_frame(frame)
