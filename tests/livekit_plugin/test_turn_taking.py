"""What an agent on LiveKit does beside replying: backchannels, speculation, a resumed reply, a handoff."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent, RunContext, function_tool
from livekit.agents import llm as llms

from csm_plugin.livekit import TTS
from tests.livekit_plugin.collecting import until
from tests.livekit_plugin.hearing import Kind, Talk, talking
from tests.livekit_plugin.talking import answering, spoken, word_ends_s
from tests.livekit_plugin.writing import Answer, Writer
from tests.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.usefixtures("nothing_left", "virtual_clock")

RESUMED = {"resume_false_interruption": True, "false_interruption_timeout": 1.0}
LONG = "It is spoken in a moment and the rest of it comes after that."


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


async def played(talk: Talk, seconds: float) -> None:
    await until(lambda: talk.run.output.position_s >= seconds, timeout_s=60)


class TestABackchannel:
    @pytest.mark.parametrize("kept", [True, False])
    async def test_of_the_agents_over_the_users_turn_cuts_neither_that_nor_the_playing_time(
        self, engine: ScriptedEngine, kept: bool
    ) -> None:
        tts = TTS(engine=engine)
        async with talking(tts, answering(LONG, "Yes.")) as talk:
            await talk.begin(1.0)
            await talk.session.say("Mhm.", allow_interruptions=False, add_to_chat_ctx=kept)
            await asyncio.sleep(1.0)
            talk.end("This is a long story.")
            await played(talk, 1.0)
            said = ["Mhm."] if kept else []
            assert spoken(tts)[:-1] == [*said, "This is a long story."]
            ((_, sound, _),) = engine.conversations[0].heard
            assert len(sound) / 24_000 >= 2.2
            await talk.session.interrupt()
            *_, (reply, cut) = talk.run.said
            assert cut and reply.rstrip() == spoken(tts)[-1]
            ends_s = word_ends_s(engine)[1:]  # behind the "Mhm."
            at_s = talk.run.output.played[-1].seconds
            heard = [end_s for end_s in ends_s if end_s - engine.segments[0].seconds <= at_s]
            assert len(reply.split()) in (len(heard) - 1, len(heard), len(heard) + 1)

    async def test_of_the_users_over_a_reply_leaves_it_whole(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with talking(tts, answering(LONG, "Yes."), interruption={"min_words": 2}) as talk:
            reply = talk.session.generate_reply()
            await played(talk, 1.0)
            await talk.say("Mhm.", seconds=0.4)
            await reply
            assert talk.run.said == [(LONG, False)] and spoken(tts) == [LONG]
            await talk.say("Tell me more.")
            await until(lambda: len(talk.run.said) == 2, timeout_s=60)
            assert spoken(tts) == [LONG, "Mhm. Tell me more.", "Yes."]


class TestSpeculation:
    @pytest.mark.parametrize("preemptive_tts", [True, False])
    async def test_that_is_withdrawn_leaves_nothing_behind(self, engine: ScriptedEngine, preemptive_tts: bool) -> None:
        tts = TTS(engine=engine)
        speculating = {"enabled": True, "preemptive_tts": preemptive_tts}
        async with talking(tts, answering("Never said.", "Said."), preemptive_generation=speculating) as talk:
            await talk.begin(0.5)
            talk.hear(Kind.PREFLIGHT_TRANSCRIPT, "I would like")
            await asyncio.sleep(0.5)
            assert engine.segments == []
            talk.end("I would like some tea.")
            await until(lambda: len(talk.run.said) == 1, timeout_s=60)
            assert [segment.text for segment in engine.segments] == ["Said."]
            assert spoken(tts) == ["I would like some tea.", "Said."]
        assert engine.live == []


class TestAFalseInterruption:
    async def test_is_resumed_and_the_reply_is_heard_whole(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with talking(tts, answering(LONG), interruption=RESUMED) as talk:
            resumed: list[bool] = []
            talk.session.on("agent_false_interruption", lambda event: resumed.append(event.resumed))
            reply = talk.session.generate_reply()
            await played(talk, 1.0)
            await talk.begin(0.3)
            talk.hear(Kind.INTERIM_TRANSCRIPT, "Uh")
            await until(lambda: talk.session.agent_state == "listening")
            paused_at_s = talk.run.output.position_s
            await asyncio.sleep(0.5)
            assert talk.run.output.position_s == paused_at_s
            talk.end("")
            await reply
            assert resumed == [True] and talk.run.said == [(LONG, False)] and spoken(tts) == [LONG]
            (whole,) = talk.run.output.played
            assert whole.seconds == pytest.approx(engine.segments[0].seconds) and not whole.interrupted

    async def test_that_was_none_cuts_the_reply_where_it_stood_still(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with talking(tts, answering(LONG, "Yes."), interruption=RESUMED) as talk:
            talk.session.generate_reply()
            await played(talk, 1.0)
            await talk.begin(0.3)
            talk.hear(Kind.INTERIM_TRANSCRIPT, "Stop")
            await asyncio.sleep(1.0)
            talk.end("Stop it.")
            await until(lambda: len(talk.run.said) == 2, timeout_s=60)
            (reply, cut), _ = talk.run.said
            assert cut and talk.run.output.played[0].seconds < 1.5
            assert spoken(tts) == [reply.rstrip(), "Stop it.", "Yes."]


class TestAHandoff:
    @staticmethod
    def transferring(after: Agent, meanwhile: str = "") -> tuple[Agent, Writer]:
        @function_tool(name="transfer")
        async def transfer(context: RunContext[Any]) -> Agent:
            """Hand over."""
            if meanwhile:
                context.session.say(meanwhile)
            return after

        def answer(context: llms.ChatContext) -> Answer:
            said = [item for item in context.items if isinstance(item, llms.ChatMessage) and item.role == "user"]
            last = said[-1].text_content if said else ""
            return Answer("I will.", calls=("transfer",)) if last == "Hand over." else Answer(f"To {last}")

        return Agent(instructions="", tools=[transfer]), Writer(answer)

    async def test_to_another_voice_goes_on_in_a_conversation_that_heard_the_user(self, engine: ScriptedEngine) -> None:
        first, second = TTS(engine=engine, voice="ann"), TTS(engine=engine, voice="bob")
        agent, writer = self.transferring(Agent(instructions="", tts=second))
        async with talking(first, writer, agent=agent) as talk:
            second.attach(talk.session)
            await talk.say("Hello.")
            await until(lambda: len(talk.run.said) == 1, timeout_s=60)
            await talk.session.generate_reply(user_input="Hand over.")
            await until(lambda: talk.session.current_agent is not agent)
            await talk.say("And now?")
            await until(lambda: len(talk.run.said) == 3, timeout_s=60)
            assert spoken(first) == ["Hello.", "To Hello.", "I will.", "And now?"]
            assert spoken(second) == ["Hello.", "And now?", "To And now?"]
            assert [segment.voice for segment in engine.segments] == ["ann", "ann", "bob"]

    async def test_keeps_what_the_first_agent_says_last(self, engine: ScriptedEngine) -> None:
        other = ScriptedEngine()
        other.model_name = "another"
        first, second = TTS(engine=engine), TTS(engine=other)
        await second.ready()
        agent, writer = self.transferring(Agent(instructions="", tts=second), meanwhile="Goodbye.")
        async with talking(first, writer, agent=agent) as talk:
            await talk.session.generate_reply(user_input="Hand over.")
            await until(lambda: len(talk.run.said) == 2, timeout_s=60)
            assert spoken(first) == ["I will.", "Goodbye."]
