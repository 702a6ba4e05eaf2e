"""The whole chain with a real engine: text in tokens, a model, a pipeline, sound."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pipecat.frames.frames import InterruptionFrame, LLMFullResponseEndFrame, TTSAudioRawFrame, TTSSpeakFrame

from csm_plugin import Engine, Sampling
from csm_plugin.audio.pcm import to_int16
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.text.sentences import SentenceSplitter
from tests.pipecat.harness import running, samples, until

REPLY = "Well, that is a good question, and I have an answer. It is short. And that was it!"
LONG = "This sentence goes on and on, and it has no end that anybody has ever seen or heard of, because " * 2
SEEDED = CSMTTSService.Settings(seed=7)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("checkpoint")
    write_random_checkpoint(Path(folder), size="tiny")
    with Engine.load(folder, device="cpu", max_conversations=4) as engine:
        yield engine


async def spoken_by(engine: Engine, pieces: Sequence[str]) -> npt.NDArray[np.int16]:
    """What a conversation of the engine says, int16 [samples]."""
    async with engine.conversation(sampling=Sampling(seed=7)) as talk:
        return np.concatenate([to_int16(chunk.pcm) for piece in pieces async for chunk in talk.speak(piece)])


def pieces_of(reply: str) -> list[str]:
    splitter = SentenceSplitter()
    return splitter.feed(reply) + splitter.flush()


async def test_a_streamed_reply_comes_out_as_the_engines_own_samples(engine: Engine) -> None:
    service = CSMTTSService(engine=engine, settings=SEEDED)
    async with running(service) as session:
        await session.reply(REPLY)
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
        assert [segment.text for segment in service.conversation.segments] == pieces_of(REPLY)
    assert len(pieces_of(REPLY)) == 4
    np.testing.assert_array_equal(samples(session.down), await spoken_by(engine, pieces_of(REPLY)))


async def test_services_that_speak_at_once_each_sound_as_if_alone(engine: Engine) -> None:
    replies = ["First of all, hello to you. Goodbye.", "The second one says something else.", "And a third."]
    services = [CSMTTSService(engine=engine, settings=SEEDED) for _ in replies]

    async def talk(service: CSMTTSService, reply: str) -> npt.NDArray[np.int16]:
        async with running(service) as session:
            await session.reply(reply)
        return samples(session.down)

    heard = await asyncio.gather(*map(talk, services, replies))
    for sound, reply in zip(heard, replies, strict=True):
        alone = await spoken_by(engine, pieces_of(reply))
        # The codes are the same; sums of floats in another order move a few samples by one step of int16.
        np.testing.assert_allclose(sound.astype(np.int32), alone, atol=1)


async def test_an_interruption_frees_the_row_within_two_steps_and_keeps_what_was_delivered(engine: Engine) -> None:
    service = CSMTTSService(engine=engine, settings=SEEDED)
    async with running(service) as session:
        await session.reply(LONG)
        await session.until(lambda: len(session.of(TTSAudioRawFrame)) >= 5)
        await session.send(InterruptionFrame())
        await session.until(lambda: session.of(InterruptionFrame))
        stepped_at_silence = engine.stats().frames_stepped
        delivered = len(session.of(TTSAudioRawFrame))
        await until(lambda: engine.stats().live_rows == 0)
        assert engine.stats().frames_stepped - stepped_at_silence <= 2
        assert len(session.of(TTSAudioRawFrame)) == delivered
        segments = service.conversation.segments
        await session.send(TTSSpeakFrame("Yes?"))
        await session.until(lambda: len(session.of(TTSAudioRawFrame)) > delivered)
    assert sum(len(segment.codes) for segment in segments) >= 5
    assert session.errors == []


async def test_the_row_is_free_after_the_pipeline_has_ended(engine: Engine) -> None:
    conversations = engine.stats().conversations
    async with running(CSMTTSService(engine=engine, settings=SEEDED)) as session:
        await session.send(TTSSpeakFrame("Hello."))
    await until(lambda: engine.stats().free_rows == 4 and engine.stats().conversations == conversations)
