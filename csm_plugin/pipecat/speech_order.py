"""A Pipecat service whose speech is heard and committed in the order in which it came, whatever is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMAssistantPushAggregationFrame,
    SystemFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from csm_plugin.pipecat.conversing import ConversingService
from csm_plugin.pipecat.heard import PATIENCE_S
from csm_plugin.pipecat.playback import MAX_CONTEXTS, MAX_LAG_S

_POLL_S = 0.02


class OrderedService(ConversingService):
    """Keeps speech in its order, and speech that no interruption may end alive and committed.

    An interruption is over before the next frame is looked at, as Pipecat sorts out meanwhile what survives. Speech
    within a reply is heard where it came, and the rest of the reply behind it. A conversation can be cut at its end
    only, so speech that cannot be interrupted is made, and the user's turn taken in, once everything before was heard
    or cut off.

    Args:
        max_ahead_s: as for `CSMTTSService`; where it is infinite nobody listens, and nothing waits for a listener.
        **kwargs: as for `ConversingService`.
    """

    _turn_context_id: str | None

    def __init__(self, *, max_ahead_s: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._max_ahead_s = max_ahead_s
        self._committing: deque[str] = deque(maxlen=MAX_CONTEXTS)
        self._interruptions = 0
        self._uninterrupted = asyncio.Event()
        self._uninterrupted.set()
        self._news = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Let an interruption take its course before anything that survives it."""
        if not isinstance(frame, InterruptionFrame):
            if not isinstance(frame, SystemFrame):
                await self._uninterrupted.wait()
            await super().process_frame(frame, direction)
            return
        self._interruptions += 1
        self._uninterrupted.clear()
        try:
            await super().process_frame(frame, direction)
            await self._commit_what_survives()
            await self._after_interruption()
        finally:
            self._uninterrupted.set()
            self._tell()

    async def _after_interruption(self) -> None:
        """Do what is to be done before anything is spoken again."""

    async def _handle_tts_speak(self, frame: TTSSpeakFrame) -> None:
        """Speak a text of its own, between what of a reply came before it and what comes after."""
        await self._uninterrupted.wait()
        interruptions, reply_id = self._interruptions, self._turn_context_id
        if reply_id is not None and self.audio_context_available(reply_id):
            await self.append_to_audio_context(reply_id, TTSStoppedFrame(context_id=reply_id))
            await self.remove_audio_context(reply_id)
            self._turn_context_id = str(uuid.uuid4())
        await super()._handle_tts_speak(frame)
        if self._interruptions != interruptions:
            self._turn_context_id = None  # Pipecat goes back to the reply, which is over

    async def _finish_tts_context(self, frame: TTSStoppedFrame) -> None:
        """Remember which speech commits itself once it was heard; a reply's is committed with the reply."""
        context = self._tts_contexts.get(frame.context_id or "")
        if frame.context_id and context is not None and context.push_assistant_aggregation:
            self._committing.append(frame.context_id)
        await super()._finish_tts_context(frame)

    async def _commit_what_survives(self) -> None:
        """Have the rest of what cannot be interrupted committed: for the aggregator, its turn has just ended."""
        for context in self._tts_contexts.values():
            if context.append_to_context and not context.interruptible:
                context.push_assistant_aggregation = True
        surviving = self._heard.surviving
        now = max(1, self.get_clock().get_time())
        if surviving and surviving[0].recorded:  # what is heard later begins a turn by itself
            began = TTSStartedFrame(context_id=surviving[0].context_id)
            began.interruptible, began.pts = False, now
            await self.push_frame(began)
        recorded = {sentence.context_id for sentence in surviving if sentence.recorded}
        if recorded - self._tts_contexts.keys() - set(self._committing):
            ended = LLMAssistantPushAggregationFrame()
            ended.interruptible = False
            ended.pts = max(now, self._word_timestamp_tracker.uninterruptible_last_pts) + 1
            await self.push_frame(ended)

    async def _wait_for_turn(self, context_id: str) -> None:
        """Wait until a sentence may be made: what cannot be interrupted once what was made before it was heard."""
        await self._uninterrupted.wait()
        context = self._tts_contexts.get(context_id)
        if context is None or context.interruptible:
            await self._wait_while(lambda: self._heard.awaits_commit, PATIENCE_S)
        else:
            self._refresh_audio_context(context_id)
            await self._wait_until_heard()
            await self._uninterrupted.wait()

    async def _wait_until_heard(self) -> None:
        """Wait until nothing can be cut off any more of what was said, and it is known what was committed of it."""
        if math.isfinite(self._max_ahead_s):
            await self._wait_while(lambda: self._heard.may_be_cut, self._playback.ahead_s + MAX_LAG_S)
        await self._wait_while(lambda: self._heard.awaits_commit, PATIENCE_S)

    async def _wait_while(self, waits: Callable[[], bool], longest_s: float) -> None:
        """Wait while a condition holds, for some seconds at most."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + longest_s
        while waits() and loop.time() < deadline_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _POLL_S)

    def _tell(self) -> None:
        """Let whoever waits look again."""
        self._news.set()
        self._news = asyncio.Event()
