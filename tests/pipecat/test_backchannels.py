"""A word or two while the user talks: it ends nobody's turn, and the reply after it is followed as ever."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from pipecat.frames.frames import BotBackchannelFrame, InterruptionFrame

from csm_plugin.pipecat import CSMTTSService
from csm_plugin.settings import FRAME_S, SAMPLE_RATE_HZ
from tests.pipecat.room import Room, talking
from tests.pipecat.test_heard import talk_of, words_in
from tests.pipecat.test_user_turn import still_clock
from tests.scripted_engine import Script, ScriptedEngine

__all__ = ["still_clock"]

REPLY = "This is an answer of some length, so that there is time to stop it."


def service() -> CSMTTSService:
    return CSMTTSService(
        engine=ScriptedEngine(lambda text: Script(frames=len(text), frames_per_chunk=4, frame_delay_s=2 * FRAME_S))
    )


async def say_with_backchannels(room: Room, text: str) -> None:
    """Talk for 6 s, during which the agent says two words."""
    speaking = asyncio.create_task(room.user_says(text, 6.0, pitch_hz=300.0))
    for word in ("Mhm.", "I see."):
        await asyncio.sleep(2.0)
        await room.session.send(BotBackchannelFrame(word))
    await speaking


@pytest.mark.parametrize("tracked", [True, False], ids=["tracked", "estimated"])
async def test_backchannels_leave_the_users_turn_whole_and_the_reply_behind_it(tracked: bool) -> None:
    async with talking(service(), [REPLY], tracked=tracked) as room:
        await say_with_backchannels(room, "Let me tell you a long story.")
        await asyncio.sleep(2.5)
        playing = [piece for at, piece in room.loudspeaker.played if at < asyncio.get_running_loop().time()]
        await room.interrupt()
        await asyncio.sleep(0.5)
    segments = talk_of(room.service).segments
    assert [s.text for s in segments[:3]] == ["Mhm.", "I see.", "Let me tell you a long story."]
    ((text, sound, _),) = talk_of(room.service).heard
    assert text == "Let me tell you a long story."
    assert len(sound) / SAMPLE_RATE_HZ == pytest.approx(6.3, abs=0.2)
    (reply,) = segments[3:]
    assert words_in(reply.text) == words_in(room.commits.texts[-1])
    heard_s = sum(map(len, playing)) / SAMPLE_RATE_HZ - sum(s.seconds for s in segments[:2])
    assert reply.seconds == pytest.approx(heard_s, abs=0.25)
    assert len(room.session.of(InterruptionFrame)) == 2, "the user's turn interrupts once, and so did we"
    users = [message["content"] for message in room.context.get_messages() if message["role"] == "user"]
    assert users == ["Let me tell you a long story."]


async def test_a_backchannel_over_a_turn_that_interrupts_is_said_and_the_reply_cut() -> None:
    async with talking(service(), [REPLY, "Sure."]) as room:
        await room.user_says("Begin.", 0.6)
        await asyncio.sleep(2.0)
        await say_with_backchannels(room, "Wait, there is something else.")
        await asyncio.sleep(3.0)
        said = [segment.text for segment in talk_of(room.service).segments if segment.speaker == 0]
        assert said[1:] == ["Mhm.", "I see.", "Sure."]
        assert [words_in(said[0]), words_in(said[3])] == [words_in(text) for text in room.commits.texts]
        assert np.isclose(room.service.playback.unheard_s, 0)
