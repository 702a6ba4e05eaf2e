"""The user's turns in an attached session: each has its own words and its own sound, behind what was heard before."""

from __future__ import annotations

import asyncio
import time

import pytest
from livekit.agents import Agent

from csm_plugin.livekit import TTS
from csm_plugin.livekit.testing import clocked_session
from tests.livekit_plugin.collecting import until
from tests.livekit_plugin.hearing import talking
from tests.livekit_plugin.talking import Microphone, answering, change_user_state, spoken
from tests.scripted_engine import Script, ScriptedEngine

pytestmark = pytest.mark.usefixtures("nothing_left", "virtual_clock")

LONG = "It is spoken in a moment, word by word, and the rest of it is never heard by anybody."


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


def heard(engine: ScriptedEngine) -> list[tuple[str, float, set[int]]]:
    """What the conversation heard of the user: words, seconds of sound, the levels in it."""
    return [
        (text, round(len(sound) / 24_000, 1), {round(level * 32_768) for level in set(sound.tolist())} - {0})
        for talk in engine.conversations
        for text, sound, _ in talk.heard
    ]


class TestTypedInput:
    async def test_while_the_user_speaks_leaves_the_sound_to_the_turn_that_it_belongs_to(
        self, engine: ScriptedEngine
    ) -> None:
        tts = TTS(engine=engine)
        async with talking(tts, answering("To what was typed.", "To what was said.")) as talk:
            await talk.begin(1.0, 1_000)
            typed = talk.session.generate_reply(user_input="Typed.")
            await asyncio.sleep(0.5)
            assert heard(engine) == []
            talk.end("How are you?")
            await until(lambda: len(talk.run.said) == 1)
            await typed
            assert [text for text, _, _ in heard(engine)] == ["How are you?"]
            assert heard(engine)[0][1] >= 1.5

    async def test_while_the_user_speaks_over_a_reply_leaves_the_reply_to_be_cut(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with talking(tts, answering(LONG, "To what was typed.")) as talk:
            talk.session.generate_reply()
            await until(lambda: talk.run.output.position_s >= 1.0, timeout_s=60)
            await talk.begin(0.5, 1_000)
            talk.session.interrupt()  # as LiveKit does with what is typed
            typed = talk.session.generate_reply(user_input="Typed.")
            talk.end("")
            await typed
            (reply, cut), answer = talk.run.said
            assert cut and answer == ("To what was typed.", False)
            assert spoken(tts) == [reply.rstrip(), "To what was typed."] and heard(engine) == []


class TestATurn:
    async def test_that_is_confirmed_while_a_reply_is_spoken_stands_behind_what_is_heard_of_it(
        self, engine: ScriptedEngine
    ) -> None:
        tts = TTS(engine=engine)
        microphone = Microphone()
        async with clocked_session(tts, answering(LONG, "Yes."), start=False) as run:
            run.session.input.audio = microphone
            tts.attach(run.session)
            await run.session.start(Agent(instructions=""))
            run.session.generate_reply()
            await until(lambda: run.output.position_s >= 1.0, timeout_s=60)
            await microphone.speak(1.0, 1_000)
            change_user_state(run, "listening", "speaking", time.time() - 0.5)
            change_user_state(run, "speaking", "listening", time.time())
            answer = run.session.generate_reply(user_input="Is it?", input_modality="audio")
            await asyncio.sleep(0.5)
            run.session.current_speech.interrupt()
            await answer
            assert spoken(tts) == [run.said[0][0].rstrip(), "Is it?", "Yes."] and run.said[0][1]

    async def test_that_the_session_skips_leaves_no_sound_to_the_next(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with talking(tts, answering("Yes.")) as talk:
            protected = talk.session.say(LONG, allow_interruptions=False)
            await until(lambda: talk.run.output.position_s >= 1.0, timeout_s=60)
            await talk.say("Stop it.", level=1_000)
            await protected
            await talk.say("Is that all?", level=2_000)
            await until(lambda: len(talk.run.said) == 2, timeout_s=60)
            ((text, seconds, levels),) = heard(engine)
            assert (text, levels) == ("Is that all?", {2_000}) and 0.8 <= seconds <= 1.4
            assert " ".join(spoken(tts)) == f"{LONG} Is that all? Yes."

    async def test_has_no_cough_of_long_before(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with talking(tts, answering("Yes.")) as talk:
            await talk.say("", seconds=0.5, level=1_000)
            await asyncio.sleep(5)
            await talk.say("Is that all?", level=2_000)
            await until(lambda: len(talk.run.said) == 1, timeout_s=60)
            ((text, _, levels),) = heard(engine)
            assert (text, levels) == ("Is that all?", {2_000})

    async def test_has_both_of_its_parts_with_a_pause_between(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with talking(tts, answering("Yes."), endpointing={"min_delay": 5.0, "max_delay": 6.0}) as talk:
            await talk.say("Is that", level=1_000)
            await asyncio.sleep(4)
            await talk.say("all?", level=2_000)
            await until(lambda: len(talk.run.said) == 1, timeout_s=60)
            ((text, _, levels),) = heard(engine)
            assert (text, levels) == ("Is that all?", {1_000, 2_000})

    async def test_that_is_confirmed_late_leaves_the_next_one_its_sound(self, engine: ScriptedEngine) -> None:
        class Slow(Agent):
            async def on_user_turn_completed(self, *_args: object, **_given: object) -> None:
                await asyncio.sleep(3)

        tts = TTS(engine=engine)
        async with talking(tts, answering("Yes.", "No."), agent=Slow(instructions="")) as talk:
            await talk.say("Is that all?", level=1_000)
            await asyncio.sleep(1)
            await talk.say("Or is it not?", level=2_000)
            await until(lambda: len(heard(engine)) == 2, timeout_s=60)
            assert [(text, levels) for text, _, levels in heard(engine)] == [
                ("Is that all?", {1_000}),
                ("Or is it not?", {2_000}),
            ]

    async def test_comes_before_the_speech_whose_turn_it_becomes_in_the_same_moment(
        self, engine: ScriptedEngine
    ) -> None:
        engine.script = lambda text: Script(frame_delay_s=0.01)
        tts = TTS(engine=engine)
        async with talking(tts, answering("Never said.", "Said behind the turn.", "Yes.")) as talk:
            talk.session.say(LONG)
            talk.session.generate_reply()
            talk.session.generate_reply()
            await until(lambda: talk.run.output.position_s >= 1.0, timeout_s=60)
            await talk.say("Is it?")
            await until(lambda: len(talk.run.said) == 3, timeout_s=60)
            cut = [text for text, interrupted in talk.run.said if interrupted]
            assert spoken(tts)[len(cut) :] == ["Is it?", "Said behind the turn.", "Yes."]
            assert [segment.text for segment in engine.segments].count("Said behind the turn.") == 2
