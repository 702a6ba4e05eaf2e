"""Pre-emptive speech in a running session: what is made for words that were not the last ones is never part of it."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import Agent, llm

from csm_plugin.livekit import TTS
from csm_plugin.livekit.testing import ClockedSession, ScriptedLLM, clocked_session
from tests.livekit_plugin.collecting import until
from tests.livekit_plugin.hearing import Kind, Puppet
from tests.livekit_plugin.talking import Microphone, spoken
from tests.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.usefixtures("nothing_left", "virtual_clock")


def last_words(context: llm.ChatContext) -> str:
    """What the user said last."""
    said = [item for item in context.items if isinstance(item, llm.ChatMessage) and item.role == "user"]
    return said[-1].text_content or ""


def users_turns(run: ClockedSession) -> list[str | None]:
    items = run.session.history.items
    return [item.text_content for item in items if isinstance(item, llm.ChatMessage) and item.role == "user"]


async def test_replies_to_words_that_were_not_the_last_are_never_spoken() -> None:
    engine, puppet = ScriptedEngine(), Puppet()
    tts = TTS(engine=engine)
    turns = {
        "turn_detection": "stt",
        "endpointing": {"min_delay": 0.3, "max_delay": 0.5},
        "preemptive_generation": {"enabled": True, "preemptive_tts": True},
    }
    asked: list[str] = []

    def answer(context: llm.ChatContext) -> str:
        asked.append(last_words(context))
        return f"You said: {asked[-1]}."

    answering = ScriptedLLM(answer, token_s=0.001)
    async with clocked_session(tts, answering, stt=puppet, turn_handling=turns, start=False) as run:
        run.session.input.audio = Microphone()
        tts.attach(run.session)
        await run.session.start(Agent(instructions=""))
        puppet.hear(Kind.START_OF_SPEECH)
        puppet.hear(Kind.PREFLIGHT_TRANSCRIPT, "I would like")
        await asyncio.sleep(0.15)
        puppet.hear(Kind.FINAL_TRANSCRIPT, "I would like some tea")
        await asyncio.sleep(0.15)
        assert asked[0] == "I would like" and not engine.segments
        puppet.hear(Kind.END_OF_SPEECH)
        await until(lambda: len(run.said) == 1)
        assert users_turns(run) == ["I would like some tea"]
        assert run.said == [("You said: I would like some tea.", False)]
        assert [segment.text for segment in engine.segments] == spoken(tts) == ["You said: I would like some tea."]
