"""A service that is switched away from, and back to: it hears nothing in between, and knows that."""

from __future__ import annotations

import asyncio

import pytest
from pipecat.frames.frames import ManuallySwitchServiceFrame
from pipecat.pipeline.service_switcher import ServiceSwitcher

from csm_plugin.pipecat import CSMTTSService
from csm_plugin.settings import SAMPLE_RATE_HZ
from tests.pipecat.room import talking
from tests.pipecat.test_heard import talk_of
from tests.pipecat.test_user_turn import pitch_hz, quick, still_clock
from tests.scripted_engine import ScriptedEngine

__all__ = ["still_clock"]


@pytest.mark.parametrize("away_s", [0.5, 20.0])
async def test_after_a_switch_away_in_mid_turn_the_next_turn_has_its_own_sound_only(away_s: float) -> None:
    service, other = (CSMTTSService(engine=ScriptedEngine(quick)) for _ in range(2))
    voices: ServiceSwitcher = ServiceSwitcher([service, other])
    async with talking(service, ["From the other.", "From this one."], voices=voices) as room:
        speaking = asyncio.create_task(room.user_says("Switch, please.", 2.0, pitch_hz=300.0))
        await asyncio.sleep(1.0)
        await room.session.send(ManuallySwitchServiceFrame(service=other))
        await speaking
        await room.silence(away_s)
        await room.session.send(ManuallySwitchServiceFrame(service=service))
        await room.silence(1.0)
        await room.user_says("And back again.", 1.0, pitch_hz=500.0)
        await asyncio.sleep(2.0)
    assert [segment.text for segment in talk_of(other).segments if segment.speaker == 0] == ["From the other."]
    assert [(s.speaker, s.text) for s in talk_of(service).segments] == [(1, "And back again."), (0, "From this one.")]
    ((_, sound, _),) = talk_of(service).heard
    assert len(sound) / SAMPLE_RATE_HZ < 1.5
    assert pitch_hz(sound) == pytest.approx(500, abs=2)


async def test_words_that_were_understood_while_it_was_away_are_not_of_its_next_turn() -> None:
    service, other = (CSMTTSService(engine=ScriptedEngine(quick)) for _ in range(2))
    voices: ServiceSwitcher = ServiceSwitcher([service, other])
    async with talking(service, ["One.", "Two.", "Three."], voices=voices) as room:
        await room.session.send(ManuallySwitchServiceFrame(service=other))
        await room.user_says("This is for the other.")
        await asyncio.sleep(1.0)
        await room.session.send(ManuallySwitchServiceFrame(service=service))
        await room.user_says("This is for you.")
        await asyncio.sleep(1.0)
    assert [(s.speaker, s.text) for s in talk_of(service).segments] == [(1, "This is for you."), (0, "Two.")]
