"""A server goes away in the middle of a conversation, and another one takes over."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.client import RemoteEngine
from csm_plugin.engine import Engine, SpeechChunk, Utterance, VoicePrompt
from csm_plugin.errors import EngineUnreachableError
from csm_plugin.settings import Sampling
from tests.engine.helpers import GREEDY, HeldEncoder, spoken
from tests.server.running import RunningServer, running

LONG = Sampling(temperature=0, max_seconds=8, trim_silence=False)
SAMPLED = Sampling(seed=11, max_seconds=8, trim_silence=False)
LONG_TEXT = "A sentence that is long enough to be cut in the middle by a server that goes away all of a sudden."
SOUND = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
CONTINUED = VoicePrompt("ann", "This is me.", SOUND, 16_000, "continue")


@pytest.fixture
def servers(tiny_checkpoint: Path) -> Iterator[list[RunningServer]]:
    with running(tiny_checkpoint) as first, running(tiny_checkpoint) as second:
        yield [first, second]


@pytest.fixture
def remote(servers: list[RunningServer]) -> Iterator[RemoteEngine]:
    with RemoteEngine([server.ws for server in servers]) as remote:
        yield remote


def undisturbed(engine: Engine, voice: VoicePrompt | None = None) -> list[np.ndarray]:
    """The codes of a conversation that nothing happens to."""
    with engine.conversation(voice) as talk:
        first = spoken(talk, "One two three four.")
        talk.listen("How are you?", SOUND, 16_000).wait(30)
        second = np.concatenate([chunk.codes for chunk in talk.speak(LONG_TEXT, LONG)])
        talk.interrupt(heard_s=2.0)
        return [first, second, spoken(talk, "And then more.")]


@pytest.mark.parametrize("voice", [None, CONTINUED], ids=["no voice prompt", "a continued voice prompt"])
def test_the_next_turn_is_as_if_nothing_had_happened(
    servers: list[RunningServer], remote: RemoteEngine, voice: VoicePrompt | None
) -> None:
    expected = undisturbed(servers[1].engine, voice)
    with remote.conversation(voice) as talk:
        first = spoken(talk, "One two three four.")  # type: ignore[arg-type]
        talk.listen("How are you?", SOUND, 16_000).wait(30)
        second = np.concatenate([chunk.codes for chunk in talk.speak(LONG_TEXT, LONG)])
        talk.interrupt(heard_s=2.0)
        servers[0].stop()
        began = time.monotonic()
        third = spoken(talk, "And then more.")  # type: ignore[arg-type]
        print(f"taken over by another server within {time.monotonic() - began:.2f} s, the next turn included")
    for said, wanted in zip((first, second, third), expected, strict=True):
        assert np.array_equal(said, wanted)


@pytest.mark.parametrize(
    ("sampling", "voice"),
    [(LONG, None), (SAMPLED, None), (SAMPLED, CONTINUED)],
    ids=["greedy", "sampled", "sampled, continuing a voice prompt"],
)
def test_an_utterance_goes_on_behind_what_was_taken(
    servers: list[RunningServer], remote: RemoteEngine, sampling: Sampling, voice: VoicePrompt | None
) -> None:
    with servers[1].engine.conversation(voice) as talk:
        expected = list(talk.speak(LONG_TEXT, sampling))
        following = spoken(talk, "And then more.")
    with remote.conversation(voice) as far:
        utterance = far.speak(LONG_TEXT, sampling)
        chunks: list[SpeechChunk] = []
        for chunk in utterance:
            chunks.append(chunk)
            if sum(len(c.codes) for c in chunks) > 30 and remote._link.connection.made == 1:
                servers[0].stop()
        assert utterance.finish_reason == "length"
        for name in ("codes", "pcm"):
            one, other = (np.concatenate([getattr(c, name) for c in said]) for said in (chunks, expected))
            np.testing.assert_allclose(one, other, atol=2e-5)
        assert [w.text for c in chunks for w in c.words] == [w.text for c in expected for w in c.words]
        assert np.array_equal(spoken(far, "And then more."), following)  # type: ignore[arg-type]
    assert remote._link.connection.made == 2


def test_what_is_ordered_while_there_is_no_server_is_said_later(
    servers: list[RunningServer], remote: RemoteEngine
) -> None:
    with servers[1].engine.conversation() as talk:
        expected = [spoken(talk, text) for text in ("One.", "Two.")]
        talk.listen("Hm.", SOUND, 16_000).wait(30)
        expected.append(spoken(talk, "Three."))
    with remote.conversation() as far:
        heard = [spoken(far, "One.")]  # type: ignore[arg-type]
        servers[0].stop()
        two = far.speak("Two.", GREEDY)
        turn = far.listen("Hm.", SOUND, 16_000)
        heard.append(np.concatenate([c.codes for c in two]))
        turn.wait(30)
        heard.append(spoken(far, "Three."))  # type: ignore[arg-type]
    for said, wanted in zip(heard, expected, strict=True):
        assert np.array_equal(said, wanted)


def test_a_turn_that_was_overtaken_keeps_its_place_on_another_server(
    servers: list[RunningServer], remote: RemoteEngine
) -> None:
    encoders = [HeldEncoder(server.engine) for server in servers]
    with remote.conversation() as far:
        turn = far.listen("Hm.", SOUND, 16_000)
        first = spoken(far, "One.")  # type: ignore[arg-type]
        assert [segment.text for segment in far.segments] == ["One."]
        servers[0].stop()
        spoken(far, "Two.")  # type: ignore[arg-type]
        for encoder in encoders:
            encoder.release()
        turn.wait(30)
        assert [segment.text for segment in far.segments] == ["Hm.", "One.", "Two."]
        three = spoken(far, "Three.")  # type: ignore[arg-type]
    with servers[1].engine.conversation() as near:
        near.listen("Hm.", SOUND, 16_000).wait(30)
        assert not np.array_equal(spoken(near, "One."), first)
        assert not np.array_equal(spoken(near, "Two."), three)
    assert remote._link.connection.made == 2


def test_a_server_with_another_model_is_not_used(tiny_checkpoint: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_checkpoint, tmp_path / "another")
    with (
        running(tiny_checkpoint) as first,
        running(other) as second,
        RemoteEngine([first.ws, second.ws], patience_s=1.0) as remote,
        remote.conversation() as talk,
    ):
        spoken(talk, "One two three.")  # type: ignore[arg-type]
        first.stop()
        with pytest.raises(EngineUnreachableError):
            list(talk.speak("Anybody else there?", GREEDY))
        assert second.engine.stats().conversations == 0


def test_without_a_server_it_fails_in_time_and_goes_on_when_one_comes(tiny_checkpoint: Path) -> None:
    with running(tiny_checkpoint) as server:
        remote = RemoteEngine(server.ws, patience_s=1.0)
        talk = remote.conversation()
        first = spoken(talk, "One two three.")  # type: ignore[arg-type]
        port = server.port
    began = time.monotonic()
    with pytest.raises(EngineUnreachableError, match="no server could be reached for 1 s"):
        list(talk.speak("Anybody there?", GREEDY))
    print(f"told after {time.monotonic() - began:.2f} s, with a patience of 1 s")
    with running(tiny_checkpoint, port=port) as server:
        second = spoken(talk, "Four five six.")  # type: ignore[arg-type]
        with server.engine.conversation() as near:
            assert np.array_equal(first, spoken(near, "One two three."))
            assert np.array_equal(second, spoken(near, "Four five six."))
    remote.close()


def test_a_server_that_is_about_to_end_is_left_when_all_is_said(
    servers: list[RunningServer], remote: RemoteEngine
) -> None:
    with remote.conversation() as talk:
        utterance = talk.speak(LONG_TEXT, LONG)
        frames = 0
        for chunk in utterance:
            if not frames:
                server = servers[0].server
                assert server._loop is not None
                server._loop.call_soon_threadsafe(server.drain)
            frames += len(chunk.codes)
        assert (frames, utterance.finish_reason) == (100, "length")
        assert len(spoken(talk, "And then more.")) == 20  # type: ignore[arg-type]
    assert remote._link.connection.made == 2


def test_an_engine_that_dies_is_loaded_again_and_the_conversation_goes_on(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    with running(tiny_checkpoint) as server, RemoteEngine(server.ws) as remote:
        with remote.conversation() as talk:
            utterance: Utterance = talk.speak(LONG_TEXT, LONG)
            frames = 0
            for chunk in utterance:
                if not frames:
                    kill(server.engine)
                frames += len(chunk.codes)
            assert (frames, utterance.finish_reason) == (100, "length")
        assert server.service.keeper.restarts == 1


def kill(engine: Engine) -> None:
    """Make an engine's device thread raise."""

    def die(sessions: object) -> bool:
        raise SystemError("the driver is gone")

    engine._scheduler._round = die  # type: ignore[method-assign, assignment]
    engine._scheduler.registry.wake()
