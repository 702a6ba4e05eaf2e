"""What was played of what was sent, in virtual time, and what the voice makes of it."""

from __future__ import annotations

import pytest

from agents.telephony.playback import MARK_SAMPLES, Playback
from csm_plugin.pipecat import PlaybackPosition
from tests.agents.phone import Clock


def send(playback: Playback, packets: int) -> list[str]:
    marks = [playback.send(160) for _ in range(packets)]
    return [mark for mark in marks if mark is not None]


def test_a_mark_follows_every_frame_of_sound() -> None:
    playback = Playback(Clock())
    assert [playback.send(160) for _ in range(8)] == [None, None, None, "1", None, None, None, "2"]


def test_what_was_sent_is_played_in_real_time_until_it_ends() -> None:
    clock = Clock()
    playback = Playback(clock)
    send(playback, 5)
    assert playback.ahead_s == pytest.approx(0.1)
    clock.now += 0.06
    assert playback.ahead_s == pytest.approx(0.04)
    clock.now += 10
    assert playback.ahead_s == 0
    send(playback, 1)
    assert playback.ahead_s == pytest.approx(0.02)


def test_echoes_tell_what_was_played_whatever_the_clock_says() -> None:
    clock = Clock()
    playback = Playback(clock)
    first, second, third = send(playback, 12)
    assert playback.under_way_s == pytest.approx(0.24)  # by the clock, for want of an echo
    clock.now += 0.2
    assert playback.under_way_s == pytest.approx(0.04)
    playback.echo(first)
    assert playback.under_way_s == pytest.approx(2 * MARK_SAMPLES / 8000)
    playback.echo(first)
    playback.echo("nonsense")
    assert playback.under_way_s == pytest.approx(2 * MARK_SAMPLES / 8000)
    playback.echo(third)
    playback.echo(second)
    assert playback.under_way_s == 0


def test_echoes_of_what_was_cleared_say_nothing() -> None:
    clock = Clock()
    playback = Playback(clock)
    first, *others = send(playback, 16)
    playback.echo(first)
    playback.clear()
    assert playback.under_way_s == playback.ahead_s == 0
    (later,) = send(playback, 4)
    for mark in others:
        playback.echo(mark)
    assert playback.under_way_s == pytest.approx(0.08)
    playback.echo(later)
    assert playback.under_way_s == 0


def test_the_voice_counts_as_heard_exactly_what_was_echoed() -> None:
    clock = Clock()
    playback, position = Playback(clock), PlaybackPosition(clock)
    position.follow(lambda: playback.under_way_s)
    for _ in range(50):
        position.hand_over("reply", 0.08)
    marks = []
    for _ in range(40):
        marks += send(playback, 1)
        position.leave("reply", 0.02)
    clock.now += 5
    for mark in marks[:3]:
        playback.echo(mark)
    assert position.heard_s("reply") == pytest.approx(0.24)
    position.interrupt()
    playback.clear()
    for mark in marks[3:]:
        playback.echo(mark)
    assert position.heard_s("reply") == pytest.approx(0.24)
