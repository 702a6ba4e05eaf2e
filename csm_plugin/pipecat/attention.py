"""A Pipecat service that takes what the user says into its conversation's context."""

from __future__ import annotations

from typing import Any

from pipecat.frames.frames import (
    Frame,
    LLMContextUserTurnFrame,
    LLMFullResponseStartFrame,
    ServiceSwitcherRequestMetadataFrame,
)
from pipecat.processors.frame_processor import FrameCallback, FrameDirection, FrameProcessorSetup
from pipecat.services.settings import TTSSettings

from csm_plugin.errors import CSMError
from csm_plugin.pipecat.conversing import loop_time_s
from csm_plugin.pipecat.listening import WORDS_WITHIN_S, Listening, Understanding
from csm_plugin.pipecat.settings import user_speaker_of
from csm_plugin.pipecat.speech_order import OrderedService


class AttentiveService(OrderedService):
    """Takes the user's turns in, each before the reply to it.

    A turn is taken in when its words come by. Where the LLM answered before the turn was over, they come by behind the
    answer only; so they are also noticed when the user aggregator says them, and the answer waits for that moment.

    Args:
        **kwargs: as for `OrderedService`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._listening = Listening(loop_time_s)
        self._understanding = Understanding(self._overhear)

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Wait for the engine if a model was named, and follow what is understood of the user's turns.

        Raises:
            CheckpointError: the model cannot be loaded.
            VoiceError: the engine has no such voice.
        """
        await super().setup(setup)
        setup.pipeline_worker.add_observer(self._understanding)

    async def queue_frame(
        self,
        frame: Frame,
        direction: FrameDirection = FrameDirection.DOWNSTREAM,
        callback: FrameCallback | None = None,
    ) -> None:
        """Queue a frame; what was understood is noted now, as an interruption empties the queue."""
        if isinstance(frame, LLMContextUserTurnFrame):
            self._understanding.come_by(frame)
            self._understand(frame)
        elif isinstance(frame, ServiceSwitcherRequestMetadataFrame) and frame.service is self:
            self._listening.forget()  # what it heard before it was switched away from is of another turn
        await super().queue_frame(frame, direction, callback)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Follow the user's turn."""
        if isinstance(frame, LLMFullResponseStartFrame):
            await self._wait_while(lambda: self._listening.words_are_due, WORDS_WITHIN_S)
            if self._listening.is_due or self._listening.ends_with_a_reply:
                await self._listen()
        elif self._settings.listen:
            self._listening.observe(frame)
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextUserTurnFrame) and self._listening.is_due:
            await self._listen()

    async def _after_interruption(self) -> None:
        """Take in a turn that was understood: the queue is empty now, and it may be announced no more."""
        await super()._after_interruption()
        if self._listening.is_due:
            await self._listen()

    async def _update_settings(self, delta: TTSSettings) -> dict[str, Any]:
        changed = await super()._update_settings(delta)
        if "listen" in changed:
            self._listening.forget()
        return changed

    def _overhear(self, frame: LLMContextUserTurnFrame, is_ours: bool) -> None:
        """Note what was understood before it comes by."""
        if is_ours or self._listening.awaits_words:
            self._understand(frame)

    def _understand(self, frame: LLMContextUserTurnFrame) -> None:
        self._heard.expect_records()
        self._listening.understand(frame)
        self._tell()

    async def _listen(self) -> None:
        """Take the user's turn into the conversation's context, behind what was heard before it."""
        if self._listening.heard_any:
            await self._wait_until_heard()
        turn = self._listening.take()
        if turn is None:
            return
        try:
            talk = self.conversation
        except CSMError:
            return  # a reply to it will say so
        before = self._heard.next_turn()
        if not await self._listening.hand_over(turn, talk, user_speaker_of(self._settings)):
            self._heard.resume(before)
