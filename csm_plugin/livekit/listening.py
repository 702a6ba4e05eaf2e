"""The user's turns on their way from a session's audio input into the conversation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from livekit import rtc
from livekit.agents import AgentSession, UserStateChangedEvent

from csm_plugin.audio.user_speech import MARGIN_S, MAX_TURN_S, CutSpeech, UserSpeech
from csm_plugin.errors import CSMError
from csm_plugin.livekit.audio_tap import Tap
from csm_plugin.livekit.log import logger

if TYPE_CHECKING:
    from csm_plugin.interface import SpeechConversation


KEPT_S = MAX_TURN_S + 10.0
"""How much of the input is remembered: a turn, and the time until it is known to be over."""


class Listening:
    """Hears what the user of a session says, and hands over the turns that the session confirms.

    For the session's event loop; nothing here blocks.

    Args:
        session: whose user it is.
        conversation: opens the conversation, when it is first needed, and returns it.
        speaker: the number under which the user's speech is kept.
        changed: is told when a turn has become part of the conversation.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        conversation: Callable[[], Awaitable[SpeechConversation]],
        *,
        speaker: int,
        changed: Callable[[], None],
    ) -> None:
        self._session = session
        self._conversation = conversation
        self._speaker = speaker
        self._changed = changed
        self._speech = UserSpeech(KEPT_S)
        self._taps: list[Tap] = []
        self.under_way: set[asyncio.Task[None]] = set()
        """Turns that are not part of the conversation yet."""
        session.on("user_state_changed", self._on_user_state)

    def tap(self) -> None:
        """Listen to the session's input, which may be set and changed at any time."""
        source = self._session.input.audio
        at = source
        while at is not None and at not in self._taps:
            at = at.source
        if source is not None and at is None:
            self._taps.append(Tap(source, self._hear))
            self._session.input.audio = self._taps[-1]

    def take(self, text: str) -> None:
        """The user's turn is confirmed: let the conversation encode it while the LLM thinks.

        Args:
            text: what the user said.
        """
        speech = self._speech.take()
        if speech is not None:
            task = asyncio.create_task(self._hand_over(text, speech), name="csm-listen")
            self.under_way.add(task)
            task.add_done_callback(self._on_handed_over)

    def close(self) -> None:
        """Listen no more. Never blocks."""
        self._session.off("user_state_changed", self._on_user_state)
        for tap in self._taps:
            tap.hear = None
        for task in self.under_way:
            task.cancel()

    async def _hand_over(self, text: str, speech: CutSpeech) -> None:
        try:
            talk = await self._conversation()
            # Resampling leaves the loop alone.
            await asyncio.to_thread(talk.listen, speech.words(text), speech.pcm, speech.sample_rate, self._speaker)
        except (CSMError, OSError) as error:
            logger.warning("the user's turn is left out of the context: %s", type(error).__name__)

    def _on_handed_over(self, task: asyncio.Task[None]) -> None:
        self.under_way.discard(task)
        self._changed()

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._speech.begin(time.time() - event.created_at + MARGIN_S)
        elif event.old_state == "speaking":
            self._speech.end(time.time() - event.created_at - MARGIN_S)

    def _hear(self, frame: rtc.AudioFrame) -> None:
        self._speech.push(frame.data, frame.num_channels, frame.sample_rate)
