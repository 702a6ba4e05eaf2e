"""The user's turns on their way from a session's audio input into the conversation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from livekit import rtc
from livekit.agents import AgentSession, UserInputTranscribedEvent, UserStateChangedEvent
from livekit.agents.llm import ChatMessage
from livekit.agents.utils import is_given

from csm_plugin.audio.user_speech import MARGIN_S, MAX_TURN_S, CutSpeech, UserSpeech
from csm_plugin.errors import CSMError
from csm_plugin.livekit.audio_tap import Tap
from csm_plugin.livekit.log import logger

if TYPE_CHECKING:
    from csm_plugin.interface import SpeechConversation


KEPT_S = MAX_TURN_S + 10.0
"""How much of the input is remembered: a turn, and the time until it is known to be over."""

LOOK_BACK_S = 1.0
"""How late a session may tell when speech began: after a handoff, or where it tells of the speech before."""

STALE_S = 3.0
"""A sound of which nothing was understood, such as a cough, belongs to no turn that begins so long after it."""


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
        self._ended_at_s = 0.0  # when the user was last silent again, on the clock
        self._understood = False  # whether there are words to what was said since the last turn
        self._taps: list[Tap] = []
        self._taken: list[tuple[str, CutSpeech]] = []  # turns that wait for what was said before them to be settled
        self._handing: asyncio.Task[None] | None = None
        session.on("user_state_changed", self._on_user_state)
        session.on("user_input_transcribed", self._on_words)

    @property
    def under_way(self) -> asyncio.Task[None] | None:
        """Turns that were handed over and are not part of the conversation yet."""
        return self._handing

    def tap(self) -> None:
        """Listen to the session's input, which may be set and changed at any time."""
        source = self._session.input.audio
        at = source
        while at is not None and at not in self._taps:
            at = at.source
        if source is not None and at is None:
            self._taps.append(Tap(source, self._hear))
            self._session.input.audio = self._taps[-1]

    def take(self, turn: ChatMessage, *, typed: bool) -> None:
        """The user's turn is confirmed: set it aside, until `hand_over`.

        Args:
            turn: what the session adds to its history.
            typed: whether it came as text. Then sound that has, or will have, a turn of its own is not part of it.
        """
        if typed and (self._speech.goes_on or self._is_transcribed):
            return
        now_s = time.time()
        if (began_at_s := turn.metrics.get("started_speaking_at")) is not None:
            self._speech.drop_before(now_s - began_at_s + LOOK_BACK_S)  # of turns that the session skipped
        speech = self._speech.take(now_s - turn.metrics.get("stopped_speaking_at", now_s))
        self._understood = self._understood and self._speech.waits
        if speech is not None:
            self._taken.append((turn.text_content or "", speech))

    def hand_over(self) -> None:
        """Let the conversation encode the turns that were set aside, while the LLM thinks."""
        if self._taken and self._handing is None:
            self._handing = asyncio.create_task(self._hand_over(), name="csm-listen")
            self._handing.add_done_callback(self._on_handed_over)

    def close(self) -> None:
        """Listen no more. Never blocks."""
        self._session.off("user_state_changed", self._on_user_state)
        self._session.off("user_input_transcribed", self._on_words)
        for tap in self._taps:
            tap.hear = None
        self._taken.clear()
        if self._handing is not None:
            self._handing.cancel()

    @property
    def _is_transcribed(self) -> bool:
        """Whether the session itself turns what is said into turns."""
        own = self._session.current_agent.stt
        return (own if is_given(own) else self._session.stt) is not None

    async def _hand_over(self) -> None:
        while self._taken:
            text, speech = self._taken.pop(0)
            try:
                talk = await self._conversation()
                # Resampling leaves the loop alone.
                await asyncio.to_thread(talk.listen, speech.words(text), speech.pcm, speech.sample_rate, self._speaker)
            except (CSMError, OSError) as error:
                logger.warning("the user's turn is left out of the context: %s", type(error).__name__)

    def _on_handed_over(self, _task: asyncio.Task[None]) -> None:
        self._handing = None
        self.hand_over()
        self._changed()

    def _on_words(self, _event: UserInputTranscribedEvent) -> None:
        self._understood = True

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        ago_s = time.time() - event.created_at
        if event.new_state == "speaking":
            if self._is_transcribed and not self._understood:
                self._speech.drop_before(STALE_S)
            told_anew = event.created_at >= self._ended_at_s
            self._speech.begin(ago_s + MARGIN_S if told_anew else LOOK_BACK_S)
        elif event.old_state == "speaking":
            self._speech.end(ago_s - MARGIN_S)
            self._ended_at_s = event.created_at

    def _hear(self, frame: rtc.AudioFrame) -> None:
        self._speech.push(frame.data, frame.num_channels, frame.sample_rate)
