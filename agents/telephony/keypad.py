"""The telephone's keys: each press interrupts the agent, and what was keyed in reaches the brain as words."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import Frame, InputDTMFFrame, LLMMessagesAppendFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

PAUSE_S = 1.5
MAX_KEYS = 32
END_KEY = "#"


class Keypad(FrameProcessor):
    """Gathers keys until `#` or a pause and says them for the caller; belongs before the user's aggregator.

    The words go past voice activity and turn detection, which would wait for a voice that isn't there.

    Args:
        pause_s: seconds without another key after which the entry is complete.
    """

    def __init__(self, *, pause_s: float = PAUSE_S) -> None:
        super().__init__()
        self._pause_s = pause_s
        self._keys = ""
        self._waiting: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take keys; pass everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputDTMFFrame):
            await self._press(frame.button.value)
        else:
            await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Forget an unfinished entry."""
        await self._stop_waiting()
        await super().cleanup()

    async def _press(self, key: str) -> None:
        await self._stop_waiting()
        await self.broadcast_interruption()
        self._keys = (self._keys + key)[:MAX_KEYS]
        complete = END_KEY in self._keys or len(self._keys) == MAX_KEYS
        self._waiting = self.create_task(self._tell(0 if complete else self._pause_s))

    async def _tell(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        # What was heard of the interrupted reply has to be in the context before what follows it.
        await self.pipeline_worker.flush_pipeline()
        keys, self._keys = self._keys, ""  # only now: a key that comes before starts all this again
        words = f"I pressed {' '.join(keys)} on the keypad."
        await self.push_frame(LLMMessagesAppendFrame([{"role": "user", "content": words}], run_llm=True))

    async def _stop_waiting(self) -> None:
        if self._waiting is not None:
            await self.cancel_task(self._waiting)
            self._waiting = None
