"""The places for calls: bounded, each for one call, each for a short time."""

from __future__ import annotations

import asyncio

import pytest

from agents.session import Session
from agents.telephony.calls import Calls
from tests.agents.phone import Clock


def test_only_so_many_calls_are_announced_and_live_together() -> None:
    calls = Calls(2)
    first = calls.announce("twilio", "CA1")
    assert first is not None and calls.announce("twilio", "CA2") is not None
    assert calls.announce("twilio", "CA3") is None
    assert calls.redeem("twilio", first) is not None
    with calls.place():
        assert calls.live == 1
        assert calls.announce("twilio", "CA3") is None
    assert calls.announce("twilio", "CA3") is not None


def test_a_token_is_good_once_for_its_provider_and_for_thirty_seconds() -> None:
    clock = Clock()
    calls = Calls(8, clock=clock)
    token = calls.announce("twilio", "CA1")
    assert token is not None and len(token) == 48 and token.isalnum()
    ticket = calls.redeem("twilio", token)
    assert ticket is not None and ticket.call_id == "CA1"
    assert calls.redeem("twilio", token) is None

    other = calls.announce("twilio", "CA2")
    assert other is not None and other != token
    assert calls.redeem("plivo", other) is None
    assert calls.redeem("twilio", other) is None  # a wrong try costs the token

    late = calls.announce("twilio", "CA3")
    assert late is not None
    clock.now += 30
    assert calls.redeem("twilio", late) is None


@pytest.mark.parametrize("token", ["", "0" * 48, "ü", "\ud800", "x" * 100_000])
def test_what_is_no_token_admits_nobody(token: str) -> None:
    calls = Calls(1)
    calls.announce("twilio", "CA1")
    assert calls.redeem("twilio", token) is None


def test_places_of_calls_that_never_came_are_given_to_others() -> None:
    clock = Clock()
    calls = Calls(1, clock=clock)
    assert calls.announce("twilio", "CA1") is not None
    clock.now += 29
    assert calls.announce("twilio", "CA2") is None
    clock.now += 1
    assert calls.announce("twilio", "CA2") is not None


def test_a_call_that_is_announced_again_keeps_one_place_and_its_last_token() -> None:
    calls = Calls(1)
    first, second = calls.announce("twilio", "CA1"), calls.announce("twilio", "CA1")
    assert first is not None and second is not None
    assert calls.redeem("twilio", first) is None
    assert calls.redeem("twilio", second) is not None


def test_while_it_drains_nobody_new_is_announced_and_who_was_may_come() -> None:
    calls = Calls(2)
    token = calls.announce("twilio", "CA1")
    calls.drain()
    assert calls.announce("twilio", "CA2") is None
    assert token is not None and not calls.idle
    assert calls.redeem("twilio", token) is not None
    with calls.place():
        assert not calls.idle
    assert calls.idle


async def test_a_call_that_comes_through_after_all_were_hung_up_does_not_begin() -> None:
    """Its socket was admitted before, and its pipeline was not built yet."""
    calls = Calls(1)
    calls.drain()
    with calls.place():
        await calls.hang_up()
        began = asyncio.Event()

        class Talk(Session):
            def __init__(self) -> None:
                pass

            async def run(self) -> None:
                began.set()

        await calls.talk(Talk())
        assert not began.is_set()
    assert calls.idle
