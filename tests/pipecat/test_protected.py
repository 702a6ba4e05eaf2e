"""Speech that no interruption may end: it is spoken to its end, and what stands around it is cut to what was heard."""

from __future__ import annotations

import asyncio

import pytest
from pipecat.frames.frames import (
    BotBackchannelFrame,
    LLMFullResponseStartFrame,
    TTSSpeakFrame,
)

from csm_plugin.audio.pcm import to_int16
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.settings import FRAME_S
from tests.pipecat.harness import tokens
from tests.pipecat.room import Room, talking
from tests.pipecat.test_heard import talk_of, words_in
from tests.scripted_engine import Script, ScriptedEngine

LONG = "This goes on and on and on until somebody at last says stop."
KEPT = "Please hear this out to its end."
CHUNK = 4


def spoken_at(pace: float) -> CSMTTSService:
    """A service whose engine takes `pace` seconds for a second of sound, a frame a character."""
    return CSMTTSService(
        engine=ScriptedEngine(
            lambda text: Script(frames=len(text), frames_per_chunk=CHUNK, frame_delay_s=CHUNK * FRAME_S * pace)
        )
    )


def protected(text: str, *, append_to_context: bool = True) -> TTSSpeakFrame:
    frame = TTSSpeakFrame(text, append_to_context=append_to_context)
    frame.interruptible = False
    return frame


def is_played(room: Room, text: str) -> bool:
    """Whether the whole sound of a text was heard, sample for sample."""
    made = [segment for segment in room.service._engine.segments if segment.text == text]  # type: ignore[union-attr]
    return any(to_int16(segment.pcm).tobytes() in room.loudspeaker.sound.tobytes() for segment in made)


def written(room: Room) -> list[str]:
    """The assistant's words in the LLM's context."""
    messages = room.context.get_messages()
    return words_in(" ".join(str(message["content"]) for message in messages if message["role"] == "assistant"))


def kept(room: Room) -> list[str]:
    """The agent's words in the conversation's context."""
    return words_in(" ".join(segment.text for segment in talk_of(room.service).segments if segment.speaker == 0))


@pytest.mark.parametrize("pace", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("after_s", [0.2, 1.0, 2.5, 4.5])
async def test_protected_speech_behind_other_speech_is_spoken_when_that_is_interrupted(
    pace: float, after_s: float
) -> None:
    async with talking(spoken_at(pace), []) as room:
        await room.session.send(TTSSpeakFrame(LONG), protected(KEPT))
        await asyncio.sleep(after_s)
        await room.interrupt()
        await asyncio.sleep(8.0)
        assert is_played(room, KEPT)
        assert 0 < len(written(room)) < len(words_in(LONG + KEPT)), "nothing was interrupted"
        assert kept(room) == written(room)
    assert room.session.errors == []


@pytest.mark.parametrize("pace", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("after_s", [0.5, 2.0, 3.5, 4.6])
async def test_a_reply_before_protected_speech_is_cut_word_for_word(pace: float, after_s: float) -> None:
    async with talking(spoken_at(pace), []) as room:
        await room.session.reply(LONG)
        await room.session.send(protected(KEPT))
        await asyncio.sleep(after_s)
        await room.interrupt()
        await asyncio.sleep(8.0)
        assert is_played(room, KEPT)
        assert kept(room) == written(room)
        assert 0 < len(written(room)) < len(words_in(LONG + KEPT)), "nothing was interrupted"
    assert room.session.errors == []


@pytest.mark.parametrize("after_s", [0.5, 2.0, 3.5])
async def test_speech_after_a_backchannel_that_waited_through_an_interruption_is_committed(after_s: float) -> None:
    async with talking(spoken_at(0.5), []) as room:
        await room.session.send(LLMFullResponseStartFrame(), *tokens(LONG + " It never"), BotBackchannelFrame("Mhm."))
        await asyncio.sleep(after_s)
        await room.interrupt()
        await asyncio.sleep(3.0)
        assert is_played(room, "Mhm.")
        await room.session.send(TTSSpeakFrame("And this is new."))
        await asyncio.sleep(3.0)
        assert room.commits.texts[-1] == "And this is new."
        await room.session.reply("So is this.")
        await asyncio.sleep(3.0)
        assert room.commits.texts[-1] == "So is this."
        assert [word for word in kept(room) if word != "mhm"] == written(room)


async def test_protected_speech_that_is_interrupted_twice_is_committed_whole() -> None:
    async with talking(spoken_at(0.3), []) as room:
        await room.session.reply("Well.")
        await room.session.send(protected(KEPT))
        await asyncio.sleep(1.2)
        await room.interrupt()
        await asyncio.sleep(0.5)
        await room.interrupt()
        await asyncio.sleep(5.0)
        assert is_played(room, KEPT)
        assert written(room) == words_in("Well. " + KEPT)
        assert kept(room) == written(room)
