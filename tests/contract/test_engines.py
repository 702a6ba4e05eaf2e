"""Whatever is called an engine keeps the one interface: in this process, behind a socket, and the tests' stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.client import RemoteEngine
from csm_plugin.engine import Engine
from csm_plugin.errors import EngineBusyError, EngineClosedError, TextError, VoiceError
from csm_plugin.interface import MAX_WAITING, EngineStats, SpeechConversation, SpeechEngine, SpeechUtterance
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, Sampling
from tests.scripted_engine import ScriptedEngine
from tests.server.running import RunningServer, running

TEXT = "Hello there, how are you?"
SHORT = Sampling(temperature=0, max_seconds=0.8, trim_silence=False)
SECOND = np.zeros(24_000, np.float32)


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint) as server:
        yield server


@pytest.fixture(params=["in this process", "behind a socket", "scripted"])
def engine(request: pytest.FixtureRequest, tiny_checkpoint: Path) -> Iterator[SpeechEngine]:
    made: SpeechEngine
    if request.param == "scripted":
        made = ScriptedEngine()
    elif request.param == "behind a socket":
        made = RemoteEngine(request.getfixturevalue("server").ws)
    else:
        made = Engine.load(tiny_checkpoint, max_conversations=2)
    yield made
    made.close()


async def hear(utterance: SpeechUtterance) -> float:
    """Take all of an utterance; return its seconds."""
    expected_s = 0.0
    async for chunk in utterance:
        assert chunk.start_s == pytest.approx(expected_s)
        assert chunk.pcm.dtype == np.float32 and len(chunk.pcm) % FRAME_SAMPLES == 0
        assert chunk.codes.shape[0] == len(chunk.pcm) // FRAME_SAMPLES
        assert np.abs(chunk.pcm).max(initial=0) <= 1
        expected_s += chunk.codes.shape[0] * FRAME_S
    return expected_s


async def test_an_utterance_comes_in_whole_frames_one_behind_the_other(engine: SpeechEngine) -> None:
    talk = engine.conversation(sampling=SHORT)
    utterance = talk.speak(TEXT)
    assert await hear(utterance) > 0
    assert utterance.text == TEXT and utterance.finish_reason in ("end", "length")


async def test_what_was_said_and_heard_becomes_segments_in_order(engine: SpeechEngine) -> None:
    talk = engine.conversation(speaker=3, sampling=SHORT)
    said_s = await hear(talk.speak(TEXT))
    await talk.listen("Fine.", SECOND, speaker=1)
    first, second = talk.segments
    assert first.speaker == 3 and TEXT.startswith(first.text), "one that reached its limit keeps the words it spoke"
    assert first.seconds == pytest.approx(said_s)
    assert (second.speaker, second.text, second.seconds) == (1, "Fine.", pytest.approx(1.04))


async def test_an_interruption_keeps_only_what_was_heard(engine: SpeechEngine) -> None:
    talk = engine.conversation(sampling=SHORT)
    said_s = await hear(talk.speak(TEXT))
    talk.interrupt(heard_s=said_s / 2)
    assert sum(segment.seconds for segment in talk.segments) <= said_s / 2 + FRAME_S
    assert all(TEXT.startswith(segment.text) for segment in talk.segments)


async def test_a_cancelled_utterance_ends_and_says_so(engine: SpeechEngine) -> None:
    talk = engine.conversation(sampling=SHORT)
    utterance = talk.speak(TEXT)
    utterance.cancel()
    utterance.cancel()
    assert await hear(utterance) == 0
    assert utterance.finish_reason == "cancelled" and talk.segments == ()


async def test_how_it_speaks_can_be_changed_and_the_rest_stays(engine: SpeechEngine) -> None:
    talk = engine.conversation(speaker=1, sampling=SHORT)
    talk.configure(speaker=2)
    await hear(talk.speak(TEXT))
    assert [segment.speaker for segment in talk.segments] == [2]


def test_what_cannot_be_spoken_is_refused_at_once(engine: SpeechEngine) -> None:
    talk = engine.conversation()
    for text in ("", "  ", "…"):
        with pytest.raises(TextError):
            talk.speak(text)
    assert talk.segments == ()


def test_a_voice_that_is_not_there_is_refused_and_changes_nothing(engine: SpeechEngine) -> None:
    with pytest.raises(VoiceError, match="nobody"):
        engine.conversation(voice="nobody")
    talk = engine.conversation()
    with pytest.raises(VoiceError, match="nobody"):
        talk.configure(voice="nobody")


def test_its_numbers_are_those_of_the_interface(engine: SpeechEngine) -> None:
    stats = engine.stats()
    assert isinstance(stats, EngineStats) and stats.free_rows > 0 == stats.live_rows
    assert engine.model_name and isinstance(engine.voices, list)


def test_a_closed_conversation_and_a_closed_engine_take_nothing_more(engine: SpeechEngine) -> None:
    closed, left = engine.conversation(), engine.conversation()
    closed.close()
    closed.close()
    with pytest.raises(EngineClosedError):
        closed.speak(TEXT)
    engine.close()
    with pytest.raises(EngineClosedError):
        left.speak(TEXT)


@pytest.mark.parametrize("engine", ["in this process", "behind a socket"], indirect=True)
def test_no_more_wait_than_may(engine: SpeechEngine) -> None:
    """The first is longer than what is made ahead of its reader, and nobody reads: so none is over meanwhile."""
    talk: SpeechConversation = engine.conversation(sampling=replace(SHORT, max_seconds=60))
    ordered = []
    with pytest.raises(EngineBusyError, match=f"{MAX_WAITING} utterances of this conversation are waiting") as caught:
        for _ in range(MAX_WAITING + 2):
            ordered.append(talk.speak(TEXT * 20))
    assert caught.value.retry_after_s > 0 and len(ordered) in (MAX_WAITING, MAX_WAITING + 1)
    talk.interrupt()
    talk.speak(TEXT).cancel()
