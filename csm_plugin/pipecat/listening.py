"""Takes the user's turns into a conversation's context while the LLM thinks about the reply."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from loguru import logger
from pipecat.frames.frames import Frame

from csm_plugin.errors import CSMError
from csm_plugin.pipecat.user_turn import HeardTurn, UserTurn

if TYPE_CHECKING:
    from csm_plugin.interface import SpeechConversation


class Listening:
    """Follows the user's turn and hands it to the conversation when it is understood. For one event loop."""

    def __init__(self) -> None:
        self._turn = UserTurn()
        self._understood: str | None = None
        self.texts_come = False
        """Whether somebody says what was understood; otherwise a reply's beginning ends the turn."""

    @property
    def is_due(self) -> bool:
        """Whether there is a turn that was understood and not taken in yet."""
        return self._understood is not None

    def observe(self, frame: Frame) -> None:
        """Take in what passes by; frames that are not about the user are ignored."""
        self._turn.observe(frame)

    def understand(self, text: str) -> None:
        """Note what was understood of the turn."""
        self.texts_come = True
        self._understood = text if self._understood is None else f"{self._understood} {text}"

    def take(self) -> HeardTurn | None:
        """End the user's turn, as far as it was understood, and return it; None if there is no speech to it."""
        text, self._understood = self._understood, None
        return self._turn.take(text)

    async def hand_over(self, turn: HeardTurn, talk: SpeechConversation, speaker: int) -> bool:
        """Let the conversation encode a turn; False if it refuses. Resampling leaves the loop alone."""
        try:
            await asyncio.to_thread(talk.listen, turn.text, turn.pcm, turn.sample_rate, speaker)
        except CSMError as error:
            logger.warning(f"the user's turn is left out of the context: {type(error).__name__}: {error}")
            return False
        return True
