"""Text transforms: whatever they do, and whenever they come, what is spoken is written out behind the last of them."""

from __future__ import annotations

import pytest
from pipecat.frames.frames import TTSSpeakFrame, TTSStoppedFrame, TTSTextFrame

from csm_plugin.pipecat import CSMTTSService
from tests.pipecat.harness import running
from tests.scripted_engine import ScriptedEngine


async def with_price(text: str, _type: str) -> str:
    return text.replace("this much", "$5")


async def without_secrets(text: str, _type: str) -> str:
    return "* * *" if "secret" in text else text


@pytest.mark.parametrize("late", [False, True], ids=["given", "added at run time"])
async def test_what_a_transform_leaves_is_written_out(late: bool) -> None:
    engine = ScriptedEngine()
    service = CSMTTSService(engine=engine, text_transforms=None if late else [("*", with_price)])
    async with running(service) as session:
        if late:
            await session.send(TTSSpeakFrame("It costs $2."))
            await session.until(lambda: session.of(TTSStoppedFrame))
            service.add_text_transformer(with_price)
        await session.send(TTSSpeakFrame("It costs this much."))
    assert engine.segments[-1].text == "It costs five dollars."
    written = " ".join(frame.raw_text or "" for frame in session.of(TTSTextFrame)).split()
    assert written[-4:] == ["It", "costs", "this", "much."]


async def test_a_transform_that_was_taken_away_leaves_the_services_own() -> None:
    engine = ScriptedEngine()
    service = CSMTTSService(engine=engine, text_transforms=[("*", with_price)])
    async with running(service) as session:
        service.remove_text_transformer(with_price)
        await session.send(TTSSpeakFrame("It costs $2 or this much."))
    assert engine.segments[-1].text == "It costs two dollars or this much."


async def test_what_a_transform_leaves_nothing_of_is_skipped() -> None:
    engine = ScriptedEngine()
    service = CSMTTSService(engine=engine)
    async with running(service) as session:
        service.add_text_transformer(without_secrets)
        await session.send(TTSSpeakFrame("This is a secret."), TTSSpeakFrame("And this is none."))
    assert [segment.text for segment in engine.segments] == ["And this is none."]
    assert session.errors == []
