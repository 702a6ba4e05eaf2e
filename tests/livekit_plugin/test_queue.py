"""Speeches that wait in a session's queue: all of them are said, in the order in which the session says them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from livekit.agents import Agent, RunContext, function_tool
from livekit.agents import llm as llms
from livekit.agents.voice import SpeechHandle

from csm_plugin.livekit import TTS
from csm_plugin.livekit.testing import ClockedSession, clocked_session
from tests.livekit_plugin.collecting import until
from tests.livekit_plugin.talking import answering, interrupt_at, spoken
from tests.livekit_plugin.writing import Answer, Writer
from tests.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.usefixtures("nothing_left", "virtual_clock")


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


def writing(*answers: Answer) -> Writer:
    left = iter(answers)
    return Writer(lambda _context: next(left))


async def all_said(*speeches: SpeechHandle) -> None:
    """Wait until the speeches are over; what waits for ever fails after five minutes of virtual time."""
    async with asyncio.timeout(300):
        for speech in speeches:
            await speech


def said(run: ClockedSession) -> list[str]:
    return [text for text, _ in run.said]


class TestAQueue:
    async def test_of_a_saying_and_a_reply_behind_what_is_being_said_is_said_in_order(
        self, engine: ScriptedEngine
    ) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("This is the reply.")) as run:
            tts.attach(run.session)
            speeches = [run.session.say("One two three."), run.session.say("Four five.")]
            speeches.append(run.session.generate_reply())
            await all_said(*speeches)
            assert said(run) == spoken(tts) == ["One two three.", "Four five.", "This is the reply."]

    async def test_of_replies_of_which_the_second_is_written_first_is_said_in_order(
        self, engine: ScriptedEngine
    ) -> None:
        tts = TTS(engine=engine)
        slow, fast = Answer("This was written slowly.", token_s=2.0), Answer("This was not.")
        async with clocked_session(tts, writing(slow, fast)) as run:
            tts.attach(run.session)
            speeches = [run.session.generate_reply(), run.session.generate_reply()]
            await all_said(*speeches)
            assert said(run) == spoken(tts) == ["This was written slowly.", "This was not."]

    async def test_goes_on_behind_one_that_was_interrupted(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("A reply.")) as run:
            tts.attach(run.session)
            first, second = run.session.say("One two three four five."), run.session.say("Six.")
            reply = run.session.generate_reply()
            await until(lambda: run.output.position_s >= 0.6)
            first.interrupt()
            await all_said(second, reply)
            assert said(run)[1:] == spoken(tts)[1:] == ["Six.", "A reply."]
            assert said(run)[0].rstrip() == spoken(tts)[0] != "One two three four five."

    async def test_that_is_interrupted_leaves_the_next_reply_free(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering("Never said.", "Said.")) as run:
            tts.attach(run.session)
            run.session.say("One two three four five.")
            run.session.say("Six.")
            run.session.generate_reply()
            await interrupt_at(run, 0.6)
            await all_said(run.session.generate_reply())
            assert said(run)[1:] == spoken(tts)[1:] == ["Said."]


class TestATool:
    @staticmethod
    def agent(work: Callable[[RunContext], object]) -> Agent:
        @function_tool(name="look")
        async def look(context: RunContext) -> str:
            """Look something up."""
            await work(context)
            return "It is so."

        return Agent(instructions="", tools=[look])

    @staticmethod
    def looking(before: str) -> Writer:
        def answer(context: llms.ChatContext) -> Answer:
            looked = any(item.type == "function_call_output" for item in context.items)
            return Answer("It is so.") if looked else Answer(before, calls=("look",))

        return Writer(answer)

    async def test_that_has_something_said_meanwhile_is_answered_behind_that(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)

        async def work(context: RunContext) -> None:
            await context.session.say("One moment.")

        async with clocked_session(tts, self.looking("I will look."), agent=self.agent(work)) as run:
            tts.attach(run.session)
            await all_said(run.session.generate_reply(user_input="Is it so?"))
            assert said(run) == spoken(tts) == ["I will look.", "One moment.", "It is so."]

    @pytest.mark.parametrize("before", ["I will look.", "", "..."])
    async def test_that_makes_speech_for_itself_makes_it_outside_the_conversation(
        self, engine: ScriptedEngine, before: str
    ) -> None:
        tts = TTS(engine=engine)

        async def work(_context: RunContext) -> None:
            async with tts.synthesize("For a file.") as stream:
                await stream.collect()

        async with clocked_session(tts, self.looking(before), agent=self.agent(work)) as run:
            tts.attach(run.session)
            await all_said(run.session.generate_reply(user_input="Is it so?"))
            assert spoken(tts) == [text for text in (before, "It is so.") if text not in ("", "...")]
            assert [segment.text for segment in engine.segments].count("For a file.") == 1

    async def test_behind_words_that_cannot_be_spoken_may_have_something_said(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)

        async def work(context: RunContext) -> None:
            await context.session.say("One moment.")

        async with clocked_session(tts, self.looking("..."), agent=self.agent(work)) as run:
            tts.attach(run.session)
            await all_said(run.session.generate_reply(user_input="Is it so?"))
            assert spoken(tts) == ["One moment.", "It is so."]
