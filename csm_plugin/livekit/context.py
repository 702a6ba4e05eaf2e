"""Keeps a CSM conversation to what was said and heard in an `AgentSession`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from livekit.agents import AgentSession, ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage
from livekit.agents.voice import SpeechHandle, io

from csm_plugin.errors import EngineClosedError, SettingsError
from csm_plugin.livekit import speeches
from csm_plugin.livekit.floor import Floor
from csm_plugin.livekit.listening import Listening
from csm_plugin.livekit.options import TTSOptions, check_speaker
from csm_plugin.livekit.takes import Take
from csm_plugin.settings import FRAME_S

if TYPE_CHECKING:
    from csm_plugin.conversation import Segment
    from csm_plugin.interface import SpeechConversation

OpenTalk = Callable[[TTSOptions], Awaitable["SpeechConversation"]]


class Context:
    """One conversation for all that a session's TTS speaks, and for what the user says. Made by `TTS.attach`.

    A reply is spoken in the conversation, and stays in it as far as it was heard: that is known when the session adds
    the reply to its history. What never gets there (a pre-emptive reply that is discarded, a failed attempt, a
    fallback's probe) leaves nothing. So one reply is spoken at a time, in the order of the session's queue: the next
    one's speech is made when it is its turn, for then the fate of the one before is known, and once the user's turn
    that it answers is part of the conversation.

    For the session's event loop. It closes itself when the session does.

    Args:
        session: what it follows.
        open_talk: opens the conversation, when it is first needed.
        is_speaking: whether the TTS, rather than a fallback, is the one that the running agent last spoke with.
        options: how the TTS speaks when the conversation is opened before anything is spoken.
        listen: whether what the user says becomes context.
        user_speaker: the number under which the user's speech is kept.

    Attributes:
        closed: whether it follows the session no more.

    Raises:
        RuntimeError: this version of livekit-agents does not tell which speech a stream belongs to.
        SettingsError: `user_speaker` is out of range, or the TTS's own.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        open_talk: OpenTalk,
        *,
        is_speaking: Callable[[], bool],
        options: TTSOptions,
        listen: bool = True,
        user_speaker: int | None = None,
    ) -> None:
        speeches.check_supported()
        self._user_speaker = int(options.speaker == 0) if user_speaker is None else user_speaker
        check_speaker("user_speaker", self._user_speaker)
        self.check(options)
        self._session = session
        self._open_talk = open_talk
        self._is_speaking = is_speaking
        self._options = options
        self._talk: asyncio.Task[SpeechConversation] | None = None
        self._floor = Floor()
        self._output: io.AudioOutput | None = None
        self._listening = self._listen() if listen else None
        self.closed = False
        session.on("conversation_item_added", self._on_item)
        session.on("agent_state_changed", self._watch)
        session.on("close", self._on_close)
        self._watch()

    def check(self, options: TTSOptions) -> None:
        """Raise SettingsError if the TTS would speak under the user's number."""
        if self._user_speaker == options.speaker:
            raise SettingsError(f"speaker and user_speaker are both {options.speaker}; give the user another number")

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the conversation holds, oldest first; a reply that is being spoken is among it."""
        talk = self._opened
        return () if talk is None else talk.segments

    async def begin(self, speech: SpeechHandle, options: TTSOptions, timeout_s: float | None = None) -> Take | None:
        """Open a take, as soon as it is its turn; None if nothing more of the speech will be said.

        Args:
            timeout_s: how long the engine may take; waiting for other speech doesn't count.

        Raises:
            CSMError: the engine cannot be reached, or the voice is not known.
            EngineClosedError: the session ended meanwhile.
            TimeoutError: the engine took too long.
        """
        while True:
            if self.closed:
                raise EngineClosedError("the session's conversation has ended")
            if speeches.is_over(speech):
                return None
            if not self._floor.is_free_for(speech):
                await self._floor.wait(speech)
                continue
            async with asyncio.timeout(timeout_s):
                talk = await self._prepared(options)
            if self._floor.is_free_for(speech) and not self._turns_under_way:
                return self._take(talk, speech, options)

    def close(self) -> None:
        """Stop following the session, and end the conversation. Never blocks."""
        if self.closed:
            return
        self.closed = True
        self._session.off("conversation_item_added", self._on_item)
        self._session.off("agent_state_changed", self._watch)
        self._session.off("close", self._on_close)
        if self._output is not None:
            self._output.off("playback_finished", self._on_playback_finished)
        if self._listening is not None:
            self._listening.close()
        if self._talk is not None:
            self._talk.add_done_callback(_close_talk)
            self._talk.cancel()
        self._floor.notify()

    @property
    def _turns_under_way(self) -> asyncio.Task[None] | None:
        return None if self._listening is None else self._listening.under_way

    @property
    def _opened(self) -> SpeechConversation | None:
        if self._talk is None or not self._talk.done() or _failed(self._talk):
            return None
        return self._talk.result()

    async def _prepared(self, options: TTSOptions) -> SpeechConversation:
        """The conversation, once it has the user's turns that are under way."""
        if turns := self._turns_under_way:
            await asyncio.wait([turns])
        return await self._conversation(options)

    def _take(self, talk: SpeechConversation, speech: SpeechHandle, options: TTSOptions) -> Take:
        if options != self._options:
            talk.configure(voice=options.voice, speaker=options.speaker, sampling=options.sampling)
            self._options = options
        take = Take(talk, speech=speech, normalize=options.normalize)
        # What is left when its turn is over was not recorded: nobody heard it.
        self._floor.give(take, speech, lambda: self._settle(0))
        return take

    def _listen(self) -> Listening:
        return Listening(
            self._session,
            lambda: self._conversation(self._options),
            speaker=self._user_speaker,
            changed=self._floor.notify,
        )

    async def _conversation(self, options: TTSOptions) -> SpeechConversation:
        if not self.closed and (self._talk is None or _failed(self._talk)):
            self._options = options
            self._talk = asyncio.create_task(_await(self._open_talk(options)), name="csm-open-conversation")
            self._talk.add_done_callback(_failed)
        talk = self._talk
        if talk is not None:
            await asyncio.wait([talk])
        if talk is None or talk.cancelled():
            raise EngineClosedError("the session's conversation has ended")
        return talk.result()

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, ChatMessage) and item.role == "assistant":
            if self._floor.belongs_to(speeches.current_speech()):
                self._commit(item)
        elif isinstance(item, ChatMessage) and item.role == "user" and self._listening is not None:
            self._listening.take(item, typed=speeches.is_typed())
            if self._floor.put_off():  # else it stands behind what is being said, once that is settled
                self._settle(0)
        self._floor.notify()

    def _commit(self, item: ChatMessage) -> None:
        """Keep what was heard of the reply that the session recorded."""
        if not self._is_speaking():
            self._settle(0)
        elif item.interrupted:
            self._settle(self._floor.heard_frames(item.text_content or ""))
        else:
            self._settle(None)

    def _settle(self, frames: int | None) -> None:
        """Keep so many frames of what was spoken last, None for all of them; the conversation is free for the next."""
        if self._opened is not None and self._floor.takes:
            self._opened.interrupt(heard_s=None if frames is None else frames * FRAME_S)
        self._floor.clear()
        if self._listening is not None:
            self._listening.hand_over()

    def _on_playback_finished(self, event: io.PlaybackFinishedEvent) -> None:
        self._floor.note_played(event.playback_position)

    def _watch(self, _event: object = None) -> None:
        """Follow the session's input and output, which may be set and changed at any time."""
        output = self._session.output.audio
        if output is not self._output:
            if self._output is not None:
                self._output.off("playback_finished", self._on_playback_finished)
            if output is not None:
                output.on("playback_finished", self._on_playback_finished)
            self._output = output
        if self._listening is not None:
            self._listening.tap()
        self._floor.notify()

    def _on_close(self, _event: object) -> None:
        self.close()


async def _await(talk: Awaitable[SpeechConversation]) -> SpeechConversation:
    return await talk


def _failed(opening: asyncio.Task[SpeechConversation]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None)


def _close_talk(opening: asyncio.Task[SpeechConversation]) -> None:
    if not _failed(opening):
        opening.result().close()
