"""In a running `AgentSession`: what was heard is what the session and the conversation remember."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator

import pytest
from livekit.agents import Agent, FlushSentinel
from livekit.agents import tts as base
from livekit.agents.llm import ChatMessage
from livekit.agents.voice import SpeechHandle, agent_activity

from csm_plugin.conversation.words import Word
from csm_plugin.errors import GenerationError
from csm_plugin.livekit import TTS
from csm_plugin.livekit.testing import clocked_session
from tests.livekit_plugin.collecting import collect, until, words
from tests.livekit_plugin.talking import answering, interrupt_at, spoken, word_ends_s
from tests.scripted_engine import Script, ScriptedEngine, words_of

pytestmark = pytest.mark.usefixtures("nothing_left", "virtual_clock")

REPLY = "It is spoken in a moment, word by word. The rest of it comes after that, and nobody hears it."


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


class TestWhatWasHeard:
    async def test_of_a_whole_reply_is_all_of_it(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("It is 5 o'clock. Good night!")) as run:
            tts.attach(run.session)
            await run.session.generate_reply(user_input="What time is it?")
            assert run.said == [("It is 5 o'clock. Good night!", False)]
            assert spoken(tts) == ["It is five o'clock.", "Good night!"]
        assert len(engine.conversations) == 1 and engine.conversations[0].closed

    @pytest.mark.parametrize("at_s", [0.64, 1.0, 1.5, 2.5])
    async def test_of_an_interrupted_reply_is_what_was_played_word_for_word(
        self, engine: ScriptedEngine, at_s: float
    ) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering(REPLY, "And now?")) as run:
            tts.attach(run.session)
            speech = run.session.generate_reply(user_input="Hello.")
            await interrupt_at(run, at_s)
            await speech
            ((text, interrupted),) = run.said
            (played,) = run.output.played
            assert interrupted and played.interrupted and at_s <= played.seconds < at_s + 0.02
            assert text.split() == REPLY.split()[: bisect_right(word_ends_s(engine), played.seconds)]
            kept = spoken(tts)
            assert " ".join(kept) == text

            await run.session.generate_reply(user_input="Go on.")
            assert spoken(tts) == [*kept, "And now?"]

    @pytest.mark.parametrize("at_s", [1.32, 2.35, 5.0])
    async def test_is_what_the_session_recorded_where_it_noted_a_word_late(
        self, engine: ScriptedEngine, at_s: float
    ) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering(REPLY)) as run:
            tts.attach(run.session)
            speech = run.session.generate_reply(user_input="Hello.")
            await interrupt_at(run, at_s)
            await speech
            ((text, _),) = run.said
            assert " ".join(spoken(tts)) == text.rstrip() and REPLY.startswith(text)

    async def test_ends_with_the_last_recorded_word_where_a_pause_follows_it(self, engine: ScriptedEngine) -> None:
        before, after = words_of("I will think", 1.04), Word("about", 61.0, 61.4)
        words = [*before, after, Word("that.", 61.4, 61.84)]
        engine.script = lambda text: Script(frames=773, words=words) if text.startswith("I will") else Script()
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("I will think about that.", "Yes.")) as run:
            tts.attach(run.session)
            speech = run.session.generate_reply(user_input="Hello.")
            await interrupt_at(run, 20.0)
            await speech
            assert run.said == [("I will think", True)] and spoken(tts) == ["I will think"]
            await run.session.generate_reply(user_input="And?")
            assert spoken(tts) == ["I will think", "Yes."]

    async def test_cuts_off_later_sentences_that_were_spoken_but_not_played(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("One. Two three four. Five six seven eight.")) as run:
            tts.attach(run.session)
            speech = run.session.generate_reply(user_input="Count.")
            await interrupt_at(run, 1.0)
            await speech
            assert [segment.text for segment in engine.segments][-1] == "Five six seven eight."
            assert " ".join(spoken(tts)) == run.said[0][0].rstrip() and run.said[0][0].startswith("One. Two")

    async def test_of_a_reply_that_was_interrupted_before_its_first_sound_is_nothing(
        self, engine: ScriptedEngine
    ) -> None:
        engine.script = lambda text: Script(frame_delay_s=0.05, frames_per_chunk=100)
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("Never heard.", "Heard.")) as run:
            tts.attach(run.session)
            speech = run.session.generate_reply(user_input="Hello.")
            await until(lambda: bool(engine.segments))
            await run.session.interrupt()
            await speech
            assert run.said == [] and spoken(tts) == []
            await run.session.generate_reply(user_input="Hello?")
            assert spoken(tts) == ["Heard."]

    @pytest.mark.parametrize("aligned", [True, False])
    @pytest.mark.parametrize(
        "parts", [("Hello ", "there. ", None, "How are you?"), ("Hello there.", None, " How are you?")]
    )
    async def test_has_the_space_between_two_segments_of_one_reply(
        self, engine: ScriptedEngine, parts: tuple[str | None, ...], aligned: bool
    ) -> None:
        class Flushing(Agent):
            async def llm_node(self, *args: object) -> AsyncIterator[str | FlushSentinel]:
                for part in parts:
                    yield part or FlushSentinel()

        tts = TTS(engine=engine)
        async with clocked_session(
            tts, answering(), agent=Flushing(instructions=""), use_tts_aligned_transcript=aligned
        ) as run:
            tts.attach(run.session)
            await run.session.generate_reply(user_input="Hello.")
            assert run.said == [("Hello there. How are you?", False)]
            assert spoken(tts) == ["Hello there.", "How are you?"]

    async def test_without_aligned_words_is_what_the_session_takes_for_it(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering(REPLY), use_tts_aligned_transcript=False) as run:
            tts.attach(run.session)
            speech = run.session.generate_reply(user_input="Hello.")
            await interrupt_at(run, 1.0)
            await speech
            assert " ".join(spoken(tts)) == run.said[0][0].rstrip() != ""


class TestWhatNobodyHears:
    async def test_a_failed_attempt_leaves_nothing(self) -> None:
        failing = iter([True, False])
        engine = ScriptedEngine(
            lambda text: Script(fault=GenerationError("broken")) if next(failing, False) else Script()
        )
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("Hello there.")) as run:
            tts.attach(run.session)
            await run.session.generate_reply(user_input="Hello.")
            assert len(engine.segments) == 2 and spoken(tts) == ["Hello there."]
            assert run.said == [("Hello there.", False)]

    async def test_a_fallbacks_probe_leaves_nothing(self) -> None:
        broken = ScriptedEngine(lambda text: Script(fault=GenerationError("broken")))
        first, second = TTS(engine=broken), TTS(engine=ScriptedEngine())
        adapter = base.FallbackAdapter([first, second], max_retry_per_tts=0)
        async with clocked_session(adapter, answering("First reply.", "Second reply.", "Third reply.")) as run:
            first.attach(run.session)
            second.attach(run.session)
            await run.session.generate_reply(user_input="One.")
            broken.script = lambda text: Script()
            await run.session.generate_reply(user_input="Two.")
            await until(lambda: "Second reply." in [segment.text for segment in broken.segments])
            await asyncio.sleep(0.1)
            assert spoken(first) == []
            assert spoken(second) == ["First reply.", "Second reply."]
            await run.session.generate_reply(user_input="Three.")
            assert spoken(first) == ["Third reply."]
        await adapter.aclose()

    async def test_speech_outside_the_session_is_no_part_of_it(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("Hello there.")) as run:
            tts.attach(run.session)
            async with tts.synthesize("For a file.") as stream:
                await stream.collect()
            await run.session.generate_reply(user_input="Hello.")
            assert spoken(tts) == ["Hello there."] and len(engine.conversations) == 2


class TestPreemptiveSpeech:
    async def test_is_made_only_once_its_turn_is_confirmed(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts) as run:
            tts.attach(run.session)
            discarded, confirmed = SpeechHandle.create(), SpeechHandle.create()
            first, second = preemptive(tts, discarded, "Discarded."), preemptive(tts, confirmed, "Confirmed.")
            await asyncio.sleep(0.05)
            assert not engine.segments
            await first.aclose()
            confirmed._mark_scheduled()
            confirmed._authorize_generation()
            run.session._conversation_item_added(ChatMessage(role="user", content=["Go on."]))
            assert "".join(words(await collect(second))) == "Confirmed."
            assert [segment.text for segment in engine.segments] == ["Confirmed."]
            await second.aclose()
            confirmed._mark_done()
            await until(lambda: spoken(tts) == [])  # the session never recorded it


def preemptive(tts: TTS, speech: SpeechHandle, text: str) -> base.SynthesizeStream:
    """A stream as the session opens it for a speech."""
    token = agent_activity._SpeechHandleContextVar.set(speech)
    stream = tts.stream()
    agent_activity._SpeechHandleContextVar.reset(token)
    stream.push_text(text)
    stream.end_input()
    return stream


class TestTheNextReply:
    async def test_is_made_when_the_fate_of_the_one_before_is_known(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts) as run:
            tts.attach(run.session)
            first, second = run.session.say("One two three four five."), run.session.say("Six.")
            await interrupt_at(run, 0.6)
            assert [segment.text for segment in engine.segments] == ["One two three four five."]
            await first
            await second
            assert " ".join(spoken(tts)) == " ".join(text for text, _ in run.said)

    async def test_is_the_last_ones_successor_where_both_are_heard(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts) as run:
            tts.attach(run.session)
            first, second = run.session.say("One."), run.session.say("Two.")
            await first
            await second
            assert spoken(tts) == ["One.", "Two."]
