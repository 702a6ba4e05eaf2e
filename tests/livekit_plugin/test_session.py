"""In a running `AgentSession`: what was heard is what the session and the conversation remember."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import Agent, UserStateChangedEvent
from livekit.agents import tts as base
from livekit.agents.llm import ChatMessage
from livekit.agents.voice import SpeechHandle, agent_activity, io

from csm_plugin.errors import GenerationError
from csm_plugin.livekit import TTS
from csm_plugin.livekit.testing import ClockedSession, ScriptedLLM, clocked_session
from tests.livekit_plugin.collecting import collect, until, words
from tests.scripted_engine import Script, ScriptedEngine

REAL_TIME = True
pytestmark = pytest.mark.usefixtures("nothing_left")

REPLY = "It is spoken in a moment, word by word. The rest of it comes after that, and nobody hears it."


def answering(*replies: str) -> ScriptedLLM:
    left = iter(replies)
    return ScriptedLLM(lambda _context: next(left))


def spoken(tts: TTS) -> list[str]:
    """The texts in the conversation."""
    assert tts.context is not None
    return [segment.text for segment in tts.context.segments]


async def interrupt_at(run: ClockedSession, seconds: float) -> None:
    await until(lambda: run.output.position_s >= seconds)
    await run.session.interrupt()


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

    async def test_of_an_interrupted_reply_is_what_was_played_word_for_word(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine)
        async with clocked_session(tts, answering(REPLY, "And now?")) as run:
            tts.attach(run.session)
            speech = run.session.generate_reply(user_input="Hello.")
            await interrupt_at(run, 1.5)
            await speech
            ((text, interrupted),) = run.said
            assert interrupted and REPLY.startswith(text)
            played_s = run.output.played[0].seconds
            # one frame of 80 ms is one character of the script
            assert 1.5 <= played_s < 2.0 and len(text) * 0.08 <= played_s < (len(text) + 8) * 0.08
            assert spoken(tts) == [text]

            await run.session.generate_reply(user_input="Go on.")
            assert spoken(tts) == [text, "And now?"]

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


class Microphone(io.AudioInput):
    """An input that gives what it is told to."""

    def __init__(self) -> None:
        super().__init__(label="Microphone")
        self.frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.frames.get()

    async def speak(self, seconds: float, level: int) -> None:
        for _ in range(round(seconds / 0.02)):
            samples = np.full(480, level, np.int16)
            self.frames.put_nowait(rtc.AudioFrame(samples.tobytes(), 24_000, 1, 480))
        await until(self.frames.empty)


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
            _state(run, "listening", "speaking", now_s - 0.3)
            _state(run, "speaking", "listening", now_s)
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

    async def test_changed_options_hold_from_the_next_reply_on(self, engine: ScriptedEngine) -> None:
        tts = TTS(engine=engine, voice="ann")
        async with clocked_session(tts, answering("One.", "Two.")) as run:
            tts.attach(run.session)
            await run.session.generate_reply(user_input="Hello.")
            tts.update_options(voice="bob", temperature=0.5)
            await run.session.generate_reply(user_input="Hello.")
        assert [(segment.voice, segment.sampling.temperature) for segment in engine.segments] == [
            ("ann", 0.9),
            ("bob", 0.5),
        ]


def _state(run: ClockedSession, old: str, new: str, at_s: float) -> None:
    run.session.emit("user_state_changed", UserStateChangedEvent(old_state=old, new_state=new, created_at=at_s))
