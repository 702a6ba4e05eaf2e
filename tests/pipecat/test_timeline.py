"""The turns of a conversation, written down as they happen and drawn."""

from __future__ import annotations

import asyncio
import builtins
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import LLMFullResponseEndFrame, LLMFullResponseStartFrame, LLMTextFrame, TTSSpeakFrame

from csm_plugin.errors import MissingExtraError
from csm_plugin.extras import install_command
from csm_plugin.pipecat import CSMTTSService, TurnTimeline
from csm_plugin.pipecat.timeline_picture import AGENT
from csm_plugin.pipecat.turn import Turn
from tests.pipecat.harness import running
from tests.pipecat.room import Loudspeaker, talking
from tests.scripted_engine import Script, ScriptedEngine

REPLIES = [
    "Hello there, it is good to hear you. What would you like to talk about?",
    "Here is a short story. A little fox went out to look for the sea. She walked all night, past the hills.",
    "With pleasure.",
]


def service() -> CSMTTSService:
    script = Script(frames=None, frames_per_chunk=8, frame_delay_s=0.1)
    return CSMTTSService(engine=ScriptedEngine(lambda text: script))


async def a_conversation(timeline: TurnTimeline) -> None:
    async with talking(service(), REPLIES, tracked=True, observers=[timeline]) as room:
        await room.silence(1.0)
        await room.user_says("Hello?", 0.8)
        await asyncio.sleep(8.0)
        await room.user_says("I would like to hear a story.", 1.6)
        await asyncio.sleep(4.0)
        await room.user_says("Stop, that is enough.", 1.2)
        await asyncio.sleep(3.0)


async def test_each_turn_says_what_happened_and_when() -> None:
    timeline, changes = TurnTimeline(), []

    @timeline.event_handler("on_turn_changed")
    async def changed(_timeline: TurnTimeline, turn: Turn) -> None:
        changes.append((turn.number, len(turn.words)))

    await a_conversation(timeline)
    first, second, third = timeline.turns
    assert [turn.user_text for turn in timeline.turns] == [
        "Hello?",
        "I would like to hear a story.",
        "Stop, that is enough.",
    ]
    (speech,) = first.user_speech
    assert (speech.start_s, speech.end_s) == (pytest.approx(1.0, abs=0.05), pytest.approx(1.8, abs=0.05))
    for turn in timeline.turns:
        assert turn.user_speech[-1].end_s is not None
        assert turn.user_speech[-1].end_s < (turn.first_token_s or 0) < (turn.first_audio_s or 0)
        assert turn.first_audio_s == pytest.approx(turn.agent_speech[0].start_s, abs=0.05)
        assert turn.reply_delay_s == pytest.approx(0.45, abs=0.2)
    assert first.said == first.heard == REPLIES[0]
    assert " ".join(word.text for word in first.words) == REPLIES[0]
    assert first.interrupted_s is None
    assert second.interrupted_s == pytest.approx(third.user_speech[0].start_s + 0.2, abs=0.05)
    assert second.said.startswith(second.heard) and 0 < len(second.heard) < len(second.said)
    assert " ".join(word.text for word in second.words) == second.heard
    assert all(word.at_s <= (second.interrupted_s or 0) for word in second.words)
    assert third.heard == REPLIES[2]
    assert {number for number, _ in changes} == {1, 2, 3}
    assert json.loads(json.dumps(second.to_dict()))["heard"] == second.heard


async def test_the_turns_are_drawn_as_a_picture(tmp_path: Path) -> None:
    timeline = TurnTimeline()
    timeline.draw(tmp_path / "nothing.png")
    await a_conversation(timeline)
    timeline.draw(tmp_path / "turns.png")
    timeline.draw(tmp_path / "turns.svg", last=2)
    assert (tmp_path / "turns.png").read_bytes().startswith(b"\x89PNG")
    drawn = (tmp_path / "turns.svg").read_text()
    assert "<svg" in drawn


async def test_without_a_transport_the_picture_has_a_bar_for_the_agent(tmp_path: Path) -> None:
    """Nobody tells there when the agent is heard, and its row was empty."""
    timeline = TurnTimeline()
    async with running(service(), observers=[timeline]) as session:
        await session.send(TTSSpeakFrame("Good morning."))
        await asyncio.sleep(2.0)
    (turn,) = timeline.turns
    assert not turn.agent_speech and turn.first_audio_s is not None
    (bar,) = turn.spoken
    assert bar.start_s == turn.first_audio_s
    assert bar.end_s == pytest.approx(turn.first_audio_s + turn.made_s) and turn.made_s > 0.08
    timeline.draw(tmp_path / "turns.svg")
    assert AGENT in (tmp_path / "turns.svg").read_text()


async def test_without_matplotlib_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("eval"))):
        TurnTimeline().draw(tmp_path / "nothing.png")


async def test_speech_that_nobody_asked_for_and_typed_turns_are_turns_too() -> None:
    timeline = TurnTimeline(max_turns=2)
    async with running(service(), Loudspeaker(), observers=[timeline]) as session:
        await session.send(TTSSpeakFrame("Good morning."))
        await asyncio.sleep(2.0)
        for text in ("One.", "Two."):
            await session.send(LLMFullResponseStartFrame(), LLMTextFrame(text), LLMFullResponseEndFrame())
            await asyncio.sleep(2.0)
    assert [(turn.number, turn.said) for turn in timeline.turns] == [(2, "One."), (3, "Two.")]
    assert all(turn.reply_delay_s is None for turn in timeline.turns)
