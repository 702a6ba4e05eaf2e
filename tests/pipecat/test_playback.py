"""Where the listener is: by the clock, by what left the transport, and by what the far end says."""

from __future__ import annotations

import asyncio

import pytest
from pipecat.frames.frames import TTSSpeakFrame

from csm_plugin.pipecat import CSMTTSService, PlaybackPosition, PlaybackTracker
from csm_plugin.pipecat.playback import MAX_CONTEXTS
from tests.pipecat.harness import running
from tests.pipecat.room import Loudspeaker
from tests.scripted_engine import Script, ScriptedEngine


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def position(clock: Clock) -> PlaybackPosition:
    return PlaybackPosition(clock)


def test_sound_is_heard_at_its_own_pace(clock: Clock, position: PlaybackPosition) -> None:
    position.hand_over("a", 2.0)
    assert position.heard_s("a") == 0.0
    clock.now_s += 0.5
    assert position.heard_s("a") == pytest.approx(0.5)
    assert position.ahead_s == pytest.approx(1.5)
    clock.now_s += 9.0
    assert position.heard_s("a") == 2.0
    assert position.ahead_s == 0.0


def test_sound_is_heard_after_the_sound_before_it_and_after_a_pause_at_once(
    clock: Clock, position: PlaybackPosition
) -> None:
    position.hand_over("a", 1.0)
    position.hand_over("b", 1.0)
    clock.now_s += 1.25
    assert position.heard_s("a") == 1.0
    assert position.heard_s("b") == pytest.approx(0.25)
    clock.now_s += 10.0
    position.hand_over("b", 1.0)
    clock.now_s += 0.5
    assert position.heard_s("b") == pytest.approx(1.5)


def test_what_an_interruption_drops_is_never_heard(clock: Clock, position: PlaybackPosition) -> None:
    position.hand_over("a", 2.0)
    position.hand_over("kept", 1.0)
    clock.now_s += 0.5
    position.interrupt(kept={"kept"})
    assert position.heard_s("a") == pytest.approx(0.5)
    assert position.ahead_s == pytest.approx(1.0)
    clock.now_s += 5.0
    assert position.heard_s("a") == pytest.approx(0.5)
    assert position.heard_s("kept") == 1.0


def test_a_tracked_position_is_what_left_the_transport_whatever_the_clock_says(
    clock: Clock, position: PlaybackPosition
) -> None:
    position.hand_over("a", 2.0)
    clock.now_s += 1.0
    position.leave("a", 0.4)
    assert position.heard_s("a") == pytest.approx(0.4)
    assert position.unheard_s == pytest.approx(1.6)
    assert position.ahead_s == pytest.approx(1.0)
    position.leave("a", 9.0)  # the transport fills up its last chunk with silence
    assert position.heard_s("a") == 2.0
    position.leave("unknown", 1.0)
    assert position.heard_s("unknown") == float("inf")


def test_what_is_under_way_to_the_far_end_is_not_heard_yet(clock: Clock, position: PlaybackPosition) -> None:
    under_way_s = 0.3
    position.follow(lambda: under_way_s)
    position.hand_over("a", 1.0)
    position.hand_over("b", 1.0)
    clock.now_s += 1.1
    assert position.heard_s("a") == pytest.approx(0.8)
    assert position.heard_s("b") == 0.0
    position.leave("a", 1.0)
    position.leave("b", 0.5)
    assert position.heard_s("a") == 1.0
    assert position.heard_s("b") == pytest.approx(0.2)
    under_way_s = 0.0
    assert position.heard_s("b") == pytest.approx(0.5)


def test_a_transport_that_plays_nothing_does_not_stop_the_words(clock: Clock, position: PlaybackPosition) -> None:
    position.hand_over("a", 60.0)
    position.leave("a", 0.04)
    clock.now_s += 60.0
    assert position.unheard_s <= 1.0


def test_old_contexts_are_forgotten(position: PlaybackPosition) -> None:
    for number in range(10 * MAX_CONTEXTS):
        position.hand_over(str(number), 0.1)
        position.leave(str(number), 0.1)
    assert len(position._handed_s) == len(position._left_s) == MAX_CONTEXTS
    assert position.heard_s("0") == float("inf")


@pytest.mark.parametrize("rate", [24_000, 16_000, 8_000])
@pytest.mark.parametrize("tracked", [True, False])
async def test_the_position_follows_a_transport(rate: int, tracked: bool) -> None:
    service = CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=25)), max_ahead_s=9.0)
    speaker = Loudspeaker(rate)
    tracker = [PlaybackTracker(service.playback)] if tracked else []
    async with running(service, speaker, *tracker) as session:
        await session.send(TTSSpeakFrame("Two seconds."))
        await session.until(lambda: speaker.played)
        began_s, loop = speaker.played[0][0], asyncio.get_running_loop()
        (context_id,) = service.playback._handed_s
        for _ in range(4):
            await asyncio.sleep(0.37)
            assert service.playback.heard_s(context_id) == pytest.approx(loop.time() - began_s, abs=0.05)
        await asyncio.sleep(2.0)
        assert service.playback.heard_s(context_id) == pytest.approx(2.0)
        assert service.playback.unheard_s == pytest.approx(0.0)
