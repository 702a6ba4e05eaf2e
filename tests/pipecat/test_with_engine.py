"""The whole chain with a real engine: text in tokens, a model, a pipeline, sound."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from pipecat.frames.frames import (
    InterruptionFrame,
    LLMFullResponseEndFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)

from csm_plugin import Engine, Sampling
from csm_plugin.audio.pcm import to_int16
from csm_plugin.engine.stepper import StepResult
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.pipecat import CSMTTSService, PlaybackTracker, user_turn
from csm_plugin.settings import FRAME_S
from csm_plugin.text.sentences import SentenceSplitter
from tests.engine.helpers import EditedSteps
from tests.pipecat.harness import running, samples, until
from tests.pipecat.room import Loudspeaker, talking
from tests.pipecat.test_heard import interrupted_turns

REAL_TIME = True
REPLY = "Well, that is a good question, and I have an answer. It is short. And that was it!"
LONG = "This sentence goes on and on, and it has no end that anybody has ever seen or heard of, because " * 2
TALK = ["Well, that is a good question, and I have an answer. It is short.", "It costs $5, or more. Who knows?"]
SEEDED = CSMTTSService.Settings(seed=7)


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("checkpoint")
    write_random_checkpoint(Path(folder), size="tiny")
    with Engine.load(folder, device="cpu", max_conversations=4) as engine:
        yield engine


async def spoken_by(engine: Engine, pieces: Sequence[str]) -> npt.NDArray[np.int16]:
    """What a conversation of the engine says, int16 [samples]."""
    async with engine.conversation(sampling=Sampling(seed=7)) as talk:
        return np.concatenate([to_int16(chunk.pcm) for piece in pieces async for chunk in talk.speak(piece)])


def end_sentences_after(engine: Engine, frames: int) -> None:
    """Let the utterances of one conversation end by themselves after so many frames, which random weights never do."""

    def edit(_number: int, result: StepResult) -> None:
        live = [session.live for session in engine._scheduler.registry._sessions if session.live is not None]
        if live and live[0].made >= frames:
            result.codes[:] = 0

    EditedSteps(engine, edit)


def pieces_of(reply: str) -> list[str]:
    splitter = SentenceSplitter()
    return splitter.feed(reply) + splitter.flush()


async def test_a_streamed_reply_comes_out_as_the_engines_own_samples(engine: Engine) -> None:
    service = CSMTTSService(engine=engine, settings=SEEDED, max_ahead_s=600.0)
    async with running(service) as session:
        await session.reply(REPLY)
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
        assert [segment.text for segment in service.conversation.segments] == pieces_of(REPLY)
    assert len(pieces_of(REPLY)) == 4
    np.testing.assert_array_equal(samples(session.down), await spoken_by(engine, pieces_of(REPLY)))


async def test_services_that_speak_at_once_each_sound_as_if_alone(engine: Engine) -> None:
    replies = ["First of all, hello to you. Goodbye.", "The second one says something else.", "And a third."]
    services = [CSMTTSService(engine=engine, settings=SEEDED, max_ahead_s=600.0) for _ in replies]

    async def talk(service: CSMTTSService, reply: str) -> npt.NDArray[np.int16]:
        async with running(service) as session:
            await session.reply(reply)
        return samples(session.down)

    heard = await asyncio.gather(*map(talk, services, replies))
    for sound, reply in zip(heard, replies, strict=True):
        alone = await spoken_by(engine, pieces_of(reply))
        # The codes are the same; sums of floats in another order move a few samples by one step of int16.
        np.testing.assert_allclose(sound.astype(np.int32), alone, atol=1)


async def test_an_interruption_frees_the_row_within_two_steps_and_keeps_what_was_heard(engine: Engine) -> None:
    service, speaker = CSMTTSService(engine=engine, settings=SEEDED), Loudspeaker()
    async with running(service, speaker, PlaybackTracker(service.playback)) as session:
        await session.reply(LONG)
        await session.until(lambda: len(speaker.sound) > 1.5 * 24_000)
        stepped = engine.stats().frames_stepped
        await session.send(InterruptionFrame())
        await session.until(lambda: session.of(InterruptionFrame))
        stepped_at_silence = engine.stats().frames_stepped
        delivered = len(session.of(TTSAudioRawFrame))
        await until(lambda: engine.stats().live_rows == 0)
        assert engine.stats().frames_stepped - stepped_at_silence <= 2
        assert len(session.of(TTSAudioRawFrame)) == delivered
        (segment,) = service.conversation.segments
        assert 1.5 - 2 * FRAME_S < segment.seconds < len(speaker.sound) / 24_000 + FRAME_S
        assert LONG.startswith(segment.text) and segment.text
        await session.send(TTSSpeakFrame("Yes?"))
        await session.until(lambda: len(session.of(TTSAudioRawFrame)) > delivered)
    assert stepped >= 18
    assert session.errors == []


async def test_in_interrupted_turns_the_two_contexts_agree_word_for_word(engine: Engine) -> None:
    end_sentences_after(engine, 30)
    service = CSMTTSService(engine=engine, settings=SEEDED)
    async with talking(service, TALK * 2, tracked=True) as room:
        cut = await interrupted_turns(room, random.Random(3), turns=6, longest_s=4.0)
    assert cut >= 2
    assert room.session.errors == []


async def test_a_reply_at_once_after_an_interruption_sounds_as_after_what_was_heard(engine: Engine) -> None:
    service, speaker, heard = CSMTTSService(engine=engine, settings=SEEDED), Loudspeaker(), []
    async with running(service, speaker) as session:
        talk = service.conversation
        interrupt = talk.interrupt
        talk.interrupt = lambda heard_s=None: heard.append(heard_s) or interrupt(heard_s)  # type: ignore[method-assign]
        await session.send(TTSSpeakFrame(LONG[:150]))
        await session.until(lambda: len(speaker.sound) > 24_000)
        await session.send(InterruptionFrame(), TTSSpeakFrame("Yes?"))
        await session.until(lambda: len(session.of(TTSStoppedFrame)) == 1)
        segments = talk.segments
    after = session.down[session.down.index(session.of(TTSStartedFrame)[-1]) :]
    async with engine.conversation(sampling=Sampling(seed=7)) as again:
        async for chunk in again.speak(LONG[:150]):
            if chunk.start_s + len(chunk.codes) * FRAME_S >= heard[0]:
                break
        again.interrupt(heard_s=heard[0])
        expected = np.concatenate([to_int16(chunk.pcm) async for chunk in again.speak("Yes?")])
        assert [(s.text, s.codes.tolist()) for s in again.segments] == [(s.text, s.codes.tolist()) for s in segments]
    np.testing.assert_allclose(samples(after).astype(np.int32), expected, atol=1)


async def test_the_users_turn_is_encoded_before_the_reply(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_turn, "time", SimpleNamespace(time=lambda: 0.0))  # frames take no time on their way
    end_sentences_after(engine, 10)
    service = CSMTTSService(engine=engine, settings=SEEDED)
    async with talking(service, ["It is noon."]) as room:
        await room.user_says("What time is it?", 1.5)
        await room.session.until(lambda: len(room.loudspeaker.sound) > 0.7 * 24_000)
    asked, answered = service.conversation.segments
    assert (asked.speaker, asked.text, answered.text) == (1, "What time is it?", "It is noon.")
    assert asked.seconds == pytest.approx(1.9, abs=0.2)
    assert (asked.codes != 0).any()


async def test_the_row_is_free_after_the_pipeline_has_ended(engine: Engine) -> None:
    conversations = engine.stats().conversations
    async with running(CSMTTSService(engine=engine, settings=SEEDED)) as session:
        await session.send(TTSSpeakFrame("Hello."))
    await until(lambda: engine.stats().free_rows == 4 and engine.stats().conversations == conversations)
