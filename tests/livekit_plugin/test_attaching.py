"""Attached to a session: the user is heard, and the conversation is the session's for as long as it lasts."""

from __future__ import annotations

import asyncio
import time

import pytest
from livekit.agents import Agent, APITimeoutError
from livekit.agents.llm import ChatMessage
from livekit.agents.voice import SpeechHandle

from csm_plugin.errors import EngineClosedError, SettingsError
from csm_plugin.livekit import TTS
from csm_plugin.livekit.testing import clocked_session
from tests.livekit_plugin.collecting import Reports, until
from tests.livekit_plugin.talking import Microphone, answering, change_user_state, spoken
from tests.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.usefixtures("nothing_left", "virtual_clock")


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


class TestTheUsersTurn:
    async def test_becomes_context_with_its_words_before_the_reply(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        microphone = Microphone()
        async with clocked_session(tts, answering("I am well."), start=False) as run:
            run.session.input.audio = microphone
            tts.attach(run.session)
            await run.session.start(Agent(instructions=""))
            await asyncio.sleep(0.01)
            await microphone.speak(1.0, 0)
            await microphone.speak(0.5, 1_000)
            now_s = time.time()
            change_user_state(run, "listening", "speaking", now_s - 0.3)
            change_user_state(run, "speaking", "listening", now_s)
            await run.session.generate_reply(user_input="How are you?")
            (talk,) = engine.conversations
            ((text, sound, speaker),) = talk.heard
            assert (text, speaker) == ("How are you?", 1)
            assert len(sound) / 24_000 == pytest.approx(0.5, abs=0.05) and sound.max() == pytest.approx(1_000 / 32_768)
            assert spoken(tts) == ["How are you?", "I am well."]

    async def test_without_sound_is_no_context(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("I am well.")) as run:
            tts.attach(run.session)
            await run.session.generate_reply(user_input="How are you?")
            assert spoken(tts) == ["I am well."]

    async def test_is_left_alone_if_nobody_wants_it(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        microphone = Microphone()
        async with clocked_session(tts, answering("I am well."), start=False) as run:
            run.session.input.audio = microphone
            tts.attach(run.session, listen=False)
            await run.session.start(Agent(instructions=""))
            assert run.session.input.audio is microphone
            await run.session.generate_reply(user_input="How are you?")
            assert spoken(tts) == ["I am well."]


class TestAttaching:
    async def test_again_or_another_tts_too_lets_each_hear_the_user(self, engine: ScriptedEngine) -> None:
        first, second = TTS(engine=engine), TTS(engine=ScriptedEngine())
        microphone = Microphone()
        async with clocked_session(first, start=False) as run:
            run.session.input.audio = microphone
            left = first.attach(run.session)
            contexts = [first.attach(run.session), second.attach(run.session)]
            await run.session.start(Agent(instructions=""))
            await microphone.speak(1.0, 1_000)
            now_s = time.time()
            change_user_state(run, "listening", "speaking", now_s - 0.5)
            change_user_state(run, "speaking", "listening", now_s)
            run.session._conversation_item_added(ChatMessage(role="user", content=["Hello there."]))
            for context in contexts:
                await until(lambda context=context: [one.text for one in context.segments] == ["Hello there."])
            assert left.closed and left.segments == ()

    async def test_keeps_speaker_and_user_apart(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts) as run:
            with pytest.raises(SettingsError, match="both 0"):
                tts.attach(run.session, user_speaker=0)
            tts.attach(run.session)
            before = tts.options
            with pytest.raises(SettingsError, match="both 1"):
                tts.update_options(speaker=1)
            assert tts.options is before
            tts.update_options(speaker=2)

    async def test_another_session_ends_the_first_conversation(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("Hello.")) as first, clocked_session(tts, answering("Hi.")) as second:
            context = tts.attach(first.session)
            await first.session.generate_reply(user_input="Hello.")
            tts.attach(second.session)
            await asyncio.sleep(0)
            assert context.closed and engine.conversations[0].closed
            await second.session.generate_reply(user_input="Hello.")
            assert spoken(tts) == ["Hi."]

    async def test_ends_with_the_session_and_then_each_stream_is_by_itself(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("Hello.")) as run:
            tts.attach(run.session)
            await run.session.generate_reply(user_input="Hello.")
        assert tts.context is None
        async with tts.synthesize("Hello again.") as stream:
            await stream.collect()
        assert len(engine.conversations) == 2 and all(talk.closed for talk in engine.conversations)

    async def test_that_ends_while_its_conversation_opens_is_told(
        self, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def open_for_ever(_options: object) -> None:
            await asyncio.Event().wait()

        tts = TTS(engine=engine)
        monkeypatch.setattr(tts, "_open_talk", open_for_ever)
        async with clocked_session(tts) as run:
            context, speech = tts.attach(run.session), SpeechHandle.create()
            speech._mark_scheduled()
            speech._authorize_generation()
            beginning = asyncio.create_task(context.begin(speech, tts.options))
            await asyncio.sleep(0.1)
            context.close()
            with pytest.raises(EngineClosedError):
                await beginning
            speech._mark_done()

    async def test_that_cannot_open_its_conversation_in_time_is_a_timeout(
        self, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def open_for_ever(_options: object) -> None:
            await asyncio.Event().wait()

        tts = TTS(engine=engine)
        errors = Reports.of(tts).errors
        monkeypatch.setattr(tts, "_open_talk", open_for_ever)
        async with clocked_session(tts) as run:
            tts.attach(run.session)
            async with asyncio.timeout(300):
                await run.session.say("Hello.")
        assert errors and all(isinstance(error.error, APITimeoutError) for error in errors)

    async def test_changed_options_hold_from_the_next_reply_on(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine, voice="ann")
        async with clocked_session(tts, answering("One.", "Two.")) as run:
            tts.attach(run.session)
            await run.session.generate_reply(user_input="Hello.")
            tts.update_options(voice="bob", temperature=0.5)
            await run.session.generate_reply(user_input="Hello.")
        assert [(segment.voice, segment.sampling.temperature) for segment in engine.segments] == [
            ("ann", None),
            ("bob", 0.5),
        ]
