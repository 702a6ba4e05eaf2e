"""A user who speaks, and a recogniser that hears what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from livekit.agents import Agent, LanguageCode, llm, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions

from csm_plugin.livekit import TTS
from csm_plugin.livekit.testing import ClockedSession, clocked_session
from tests.livekit_plugin.collecting import until
from tests.livekit_plugin.talking import Microphone

Kind = stt.SpeechEventType
LISTENING = {"turn_detection": "stt", "endpointing": {"min_delay": 0.3, "max_delay": 0.5}}


class Puppet(stt.STT):
    """A user who speaks, and a recogniser that hears what it is told to."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.events: asyncio.Queue[stt.SpeechEvent] = asyncio.Queue()

    def hear(self, kind: stt.SpeechEventType, text: str = "") -> None:
        self.events.put_nowait(stt.SpeechEvent(kind, alternatives=[stt.SpeechData(LanguageCode("en"), text)]))

    async def _recognize_impl(self, *args: object, **kwargs: object) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS, **kwargs: Any
    ) -> stt.RecognizeStream:
        return _Hearing(stt=self, conn_options=conn_options)


class _Hearing(stt.RecognizeStream):
    async def _run(self) -> None:
        while True:
            self._event_ch.send_nowait(await self._stt.events.get())


class Talk:
    """A session with a microphone that is on all the time, and a user at it."""

    def __init__(self, run: ClockedSession, puppet: Puppet) -> None:
        self.run, self.session, self._microphone = run, run.session, Microphone()
        self.hear = puppet.hear
        self.session.input.audio = self._microphone
        self._level = 0

    async def keep_on(self) -> None:
        """Give the microphone's sound as time passes."""
        while True:
            await self._microphone.speak(0.1, self._level)
            await asyncio.sleep(0.1)

    async def begin(self, seconds: float, level: int = 1_000) -> None:
        """The user begins to speak, and goes on."""
        self._level = level
        self.hear(Kind.START_OF_SPEECH)
        await until(lambda: self.session.user_state == "speaking")
        await asyncio.sleep(seconds)

    def end(self, words: str) -> None:
        """The user has spoken; without words it was a cough."""
        self._level = 0
        if words:
            self.hear(Kind.FINAL_TRANSCRIPT, words)
        self.hear(Kind.END_OF_SPEECH)

    async def say(self, words: str, seconds: float = 1.0, level: int = 1_000) -> None:
        """The user says something, and LiveKit knows that it is over."""
        await self.begin(seconds, level)
        self.end(words)
        await until(lambda: self.session.user_state != "speaking")


@asynccontextmanager
async def talking(
    tts: TTS, llm: llm.LLM[Any] | None = None, *, agent: Agent | None = None, **turns: Any
) -> AsyncIterator[Talk]:
    """A session that a user speaks with, with the TTS attached; it fails if it lasts five minutes of virtual time.

    Args:
        **turns: how LiveKit handles the user's turns, beside what is usual here.
    """
    puppet = Puppet()
    async with clocked_session(tts, llm, stt=puppet, turn_handling=LISTENING | turns, start=False) as run:
        talk = Talk(run, puppet)
        tts.attach(run.session)
        await run.session.start(agent or Agent(instructions=""))
        microphone = asyncio.create_task(talk.keep_on())
        try:
            async with asyncio.timeout(300):
                yield talk
        finally:
            microphone.cancel()
