"""`RemoteEngine` is an engine: what a local one does, it does, and it survives its server."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.audio import to_int16
from csm_plugin.client import RemoteEngine
from csm_plugin.client.engine import stream_url
from csm_plugin.engine import Engine, VoicePrompt
from csm_plugin.errors import (
    AudioError,
    ContextFullError,
    EngineBusyError,
    EngineClosedError,
    EngineUnreachableError,
    InputError,
    SettingsError,
    TextError,
    VoiceError,
)
from csm_plugin.protocol.messages import CLIENT, Configure, UploadedVoice
from csm_plugin.settings import FRAME_S, Sampling
from tests.engine.helpers import GREEDY, TWENTY_FRAMES, codes_of, spoken
from tests.server.running import RunningServer, running, wait_until

Eventually = Callable[[Callable[[], bool]], None]
LONG_TEXT = "This is a long text that keeps a row busy for as long as the test needs it, and longer. " * 4
ENDLESS = Sampling(seed=3, max_seconds=60, trim_silence=False)


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint) as server:
        yield server


@pytest.fixture
def remote(server: RunningServer) -> Iterator[RemoteEngine]:
    with RemoteEngine(server.ws) as remote:
        yield remote


@pytest.fixture
def local(server: RunningServer) -> Engine:
    return server.engine


def test_it_is_what_the_server_is(remote: RemoteEngine, local: Engine) -> None:
    assert (remote.model_name, remote.device, remote.dtype) == (local.model_name, local.device, local.dtype)
    assert (remote.sample_rate, remote.max_conversations) == (local.sample_rate, local.max_conversations)
    assert remote.voices == local.voices


def test_it_speaks_as_the_engine_does(remote: RemoteEngine, local: Engine) -> None:
    text = "Hello there. This is a text of two sentences."
    sampling = Sampling(seed=4)
    assert np.array_equal(
        to_int16(remote.synthesize(text, sampling=sampling)), to_int16(local.synthesize(text, sampling=sampling))
    )


def test_chunks_are_as_the_engines(remote: RemoteEngine, local: Engine) -> None:
    with remote.conversation() as far, local.conversation() as near:
        there, here = list(far.speak("Hello there.", TWENTY_FRAMES)), list(near.speak("Hello there.", TWENTY_FRAMES))
    assert len(there[0].pcm) == len(here[0].pcm) == 1_920
    for name in ("pcm", "codes"):
        one, other = (np.concatenate([getattr(chunk, name) for chunk in chunks]) for chunks in (there, here))
        np.testing.assert_allclose(one, other, atol=2e-5)
    starts = [chunk.start_s for chunk in there]
    assert starts == [sum(len(c.codes) for c in there[:n]) * FRAME_S for n in range(len(there))]
    assert [w for chunk in there for w in chunk.words] == [w for chunk in here for w in chunk.words]


async def test_it_speaks_on_an_event_loop_too(remote: RemoteEngine) -> None:
    async with remote.conversation() as talk:
        utterance = talk.speak("Hello there.", TWENTY_FRAMES)
        assert utterance.text == "Hello there."
        assert sum([len(chunk.codes) async for chunk in utterance]) == 20
        assert utterance.finish_reason == "length"


def test_a_conversation_remembers_as_the_engines_does(remote: RemoteEngine, local: Engine) -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
    with remote.conversation() as far, local.conversation() as near:
        for talk in (far, near):
            spoken(talk, "One two three four.")  # type: ignore[arg-type]
            talk.listen("How are **you**?", sound, 16_000, speaker=3).wait(30)
            spoken(talk, "Five six seven eight.")  # type: ignore[arg-type]
            talk.interrupt(heard_s=0.8)
        for one, other in zip(far.segments, near.segments, strict=True):
            assert (one.speaker, one.text) == (other.speaker, other.text)
            assert np.array_equal(one.codes, other.codes)
        assert np.array_equal(spoken(far, "Nine."), spoken(near, "Nine."))  # type: ignore[arg-type]


def test_sixteen_bit_sound_is_heard_as_it_is(remote: RemoteEngine, local: Engine) -> None:
    sound = to_int16(np.random.default_rng(1).normal(0, 0.1, 8_000))
    with remote.conversation() as far, local.conversation() as near:
        for talk in (far, near):
            talk.listen("Hm.", sound, 8_000).wait(30)
        assert np.array_equal(far.segments[0].codes, near.segments[0].codes)


def test_a_voice_prompt_goes_to_the_server(remote: RemoteEngine, local: Engine) -> None:
    prompt = VoicePrompt("ann", "This is me.", np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32))
    with remote.conversation(voice=prompt) as far, local.conversation(voice=prompt) as near:
        assert far.voice == "ann"
        assert np.array_equal(spoken(far, "Hello."), spoken(near, "Hello."))  # type: ignore[arg-type]
        for talk in (far, near):
            talk.configure(voice=None, speaker=2)
        assert np.array_equal(spoken(far, "And more."), spoken(near, "And more."))  # type: ignore[arg-type]


def test_a_voice_prompts_style_goes_to_the_server_and_changes(remote: RemoteEngine, local: Engine) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    styles = [VoicePrompt("ann", "This is me.", sound, style=style) for style in ("continue", "context", None)]
    with remote.conversation(voice=styles[0]) as far, local.conversation(voice=styles[0]) as near:
        for number, prompt in enumerate(styles):
            for talk in (far, near):
                talk.configure(voice=prompt)
            text = f"Number {number} of them."
            assert np.array_equal(spoken(far, text), spoken(near, text))  # type: ignore[arg-type]


def test_a_voice_stays_when_something_else_changes(remote: RemoteEngine, local: Engine) -> None:
    prompt = VoicePrompt("ann", "This is me.", np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32))
    with remote.conversation(voice=prompt) as far, local.conversation(voice=prompt) as near:
        for talk in (far, near):
            talk.configure(speaker=2, sampling=GREEDY)
        assert np.array_equal(spoken(far, "Hello."), spoken(near, "Hello."))  # type: ignore[arg-type]


def test_a_voice_prompt_without_a_style_is_written_as_servers_before_styles_read_it() -> None:
    assert UploadedVoice(name="ann", text="This is me.", number=3).model_dump() == {
        "name": "ann", "text": "This is me.", "number": 3,
    }  # fmt: skip
    configure = Configure(conversation=1, voice=UploadedVoice(name="ann", text="Me.", number=3, style="continue"))
    assert CLIENT.validate_json(configure.model_dump_json()) == configure


def test_an_interruption_frees_the_row_and_keeps_what_was_taken(remote: RemoteEngine, local: Engine) -> None:
    with remote.conversation() as talk:
        reader = iter(talk.speak(LONG_TEXT, ENDLESS))
        taken = 0
        while taken < 30:
            taken += len(next(reader).codes)
        talk.interrupt()
        assert next(reader, None) is None
        assert len(talk.segments[0].codes) == taken
        stepped = local.stats().frames_stepped
        wait_until(lambda: local.stats().live_rows == 0)
        assert local.stats().frames_stepped - stepped <= 12  # a window's worth, made before the message arrived
        text = talk.segments[0].text
        assert LONG_TEXT.startswith(text) and len(text) < len(LONG_TEXT)


def test_a_reader_who_leaves_cancels(remote: RemoteEngine, local: Engine) -> None:
    with remote.conversation() as talk:
        utterance = talk.speak(LONG_TEXT, ENDLESS)
        for _ in utterance:
            break
        wait_until(lambda: utterance.finish_reason == "cancelled")
        wait_until(lambda: local.stats().live_rows == 0)


def test_a_slow_reader_pauses_only_itself(remote: RemoteEngine, local: Engine) -> None:
    with remote.conversation() as slow, remote.conversation() as quick:
        waiting = slow.speak(LONG_TEXT, ENDLESS)
        wait_until(lambda: len(waiting._buffer) >= 12)

        def quicks_frames_are_all() -> bool:
            stepped = local.stats().frames_stepped
            assert len(spoken(quick, "Quick.")) == 20  # type: ignore[arg-type]
            return local.stats().frames_stepped == stepped + 20

        wait_until(quicks_frames_are_all)
        assert quicks_frames_are_all()
        assert len(waiting._buffer) < 12 + 8


def test_many_conversations_speak_at_once(remote: RemoteEngine, local: Engine) -> None:
    alone = {n: to_int16(local.synthesize(f"Number {n}.", sampling=TWENTY_FRAMES)) for n in range(6)}
    heard: dict[int, np.ndarray] = {}

    def say(number: int) -> None:
        heard[number] = to_int16(remote.synthesize(f"Number {number}.", sampling=TWENTY_FRAMES))

    threads = [threading.Thread(target=say, args=(n,)) for n in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number, sound in alone.items():
        np.testing.assert_allclose(heard[number].astype(int), sound, atol=1)


@pytest.mark.parametrize("text", ["", "  ", "🙂", "a" * 5_000, None, 7], ids=lambda text: repr(text)[:12])
def test_text_that_cannot_be_spoken_is_refused_at_once(remote: RemoteEngine, text: object) -> None:
    with remote.conversation() as talk:
        for normalize in (True, False):
            with pytest.raises(TextError):
                talk.speak(text, normalize=normalize)  # type: ignore[arg-type]
        with pytest.raises(TextError, match="Unicode"):
            talk.speak("\ud800 hello", normalize=False)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"voice": "nobody"}, VoiceError),
        ({"voice": 7}, VoiceError),
        ({"voice": "../x"}, VoiceError),
        ({"speaker": 100}, InputError),
        ({"speaker": True}, InputError),
        ({"sampling": 3}, SettingsError),
    ],
)
def test_what_cannot_be_is_refused_at_once(remote: RemoteEngine, wrong: dict[str, object], error: type) -> None:
    with pytest.raises(error):
        remote.conversation(**wrong)  # type: ignore[arg-type]
    with remote.conversation() as talk:
        with pytest.raises(error):
            talk.configure(**wrong)  # type: ignore[arg-type]
        with pytest.raises(AudioError):
            talk.listen("Hm.", np.zeros((2, 10), np.float32))
        with pytest.raises(SettingsError):
            talk.interrupt(heard_s=-1)


def test_what_the_server_refuses_is_raised_where_it_is_read(remote: RemoteEngine) -> None:
    with remote.conversation() as talk:
        with pytest.raises(ContextFullError, match="split the text"):
            list(talk.speak("and so on " * 400))
        assert len(spoken(talk, "Still here.")) == 20  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["7% " * 1_365, "and so on " * 400], ids=["7%", "and so on"])
def test_a_text_that_is_long_once_it_is_written_out_is_an_error_of_ours(remote: RemoteEngine, text: str) -> None:
    """One of pydantic's came of more than a message can hold."""
    with remote.conversation() as talk:
        with pytest.raises(ContextFullError, match="split the text"):
            list(talk.speak(text))
        with pytest.raises(ContextFullError, match="split the text"):
            talk.listen(text, np.zeros(24_000, np.float32)).wait(30)
        assert len(spoken(talk, "Still here.")) == 20  # type: ignore[arg-type]


def test_limits_beyond_what_a_message_can_hold_are_none(remote: RemoteEngine, local: Engine) -> None:
    endless = Sampling(seed=3, top_k=10**6, depth_top_k=10**6, max_seconds=10**6)
    with remote.conversation(sampling=endless) as far, local.conversation(sampling=endless) as near:
        assert np.array_equal(spoken(far, "Hello."), spoken(near, "Hello."))  # type: ignore[arg-type]
        far.interrupt(heard_s=10**6)
        assert len(far.segments) == 1


def test_a_full_server_says_so(tiny_checkpoint: Path) -> None:
    with (
        running(tiny_checkpoint, max_conversations=1, max_queue=0) as server,
        RemoteEngine(server.ws) as remote,
        remote.conversation() as first,
        remote.conversation() as second,
    ):
        reader = iter(first.speak(LONG_TEXT, ENDLESS))
        next(reader)
        with pytest.raises(EngineBusyError) as refused:
            list(second.speak("Hello."))
        assert refused.value.retry_after_s > 0


def test_a_conversation_that_nobody_holds_closes_itself(remote: RemoteEngine, local: Engine) -> None:
    gc.collect()
    wait_until(lambda: local.stats().conversations == 0)  # those of other tests
    utterance = remote.conversation().speak("Hello.", GREEDY)
    assert len(codes_of(utterance)) == 20
    assert local.stats().conversations == 1
    del utterance
    gc.collect()
    wait_until(lambda: local.stats().conversations == 0)


def test_a_closed_engine_says_so(server: RunningServer) -> None:
    remote = RemoteEngine(server.ws)
    talk = remote.conversation()
    utterance = talk.speak(LONG_TEXT, ENDLESS)
    remote.close()
    with pytest.raises(EngineClosedError):
        list(utterance)
    with pytest.raises(EngineClosedError):
        talk.speak("More.")
    with pytest.raises(EngineClosedError):
        remote.conversation()


def test_nobody_there_is_an_error_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(EngineUnreachableError, match=r"within 0\.5 s; is it running"):
        RemoteEngine("ws://127.0.0.1:9", patience_s=0.5)
    print(f"told after {time.monotonic() - began:.2f} s, with a patience of 0.5 s")


@pytest.mark.parametrize(
    "written",
    ["http://{}", "http://{}/", "http://{}/v1", "http://{}/v1/", "HTTP://{}/v1", "ws://{}", "ws://{}/v1", "{}",
     "{}/v1/", "ws://{}/v1/stream", "http://{}/v1/stream/", "http://{}/v1/audio/speech", " http://{}/v1 "],
)  # fmt: skip
def test_an_address_may_be_written_as_other_clients_have_it(server: RunningServer, written: str) -> None:
    """`http://host:8000/v1`, which OpenAI's clients take, blamed the key."""
    with RemoteEngine(written.format(f"127.0.0.1:{server.port}"), patience_s=20) as remote:
        assert remote.model_name == server.engine.model_name


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://host/v1", "wss://host/v1/stream"),
        ("wss://host:1/tts/v1/", "wss://host:1/tts/v1/stream"),
        ("https://host/tts", "wss://host/tts/v1/stream"),
        ("localhost:8000", "ws://localhost:8000/v1/stream"),
        ("[::1]:8000/v1", "ws://[::1]:8000/v1/stream"),
        ("host", "ws://host/v1/stream"),
    ],
)
def test_an_address_leads_to_the_servers_socket(written: str, read: str) -> None:
    assert stream_url(written) == read


def test_an_address_without_a_socket_is_told_apart_from_a_wrong_key(
    server: RunningServer, tiny_checkpoint: Path
) -> None:
    with pytest.raises(SettingsError, match="no /v1/stream at this address"):
        RemoteEngine(f"{server.url}/elsewhere")
    with running(tiny_checkpoint, api_keys="a") as locked, pytest.raises(SettingsError, match="refuses the api_key"):
        RemoteEngine(f"{locked.url}/v1", "b")


@pytest.mark.parametrize("name", ["\ud83d", "a" * 300, "", "ann\0"], ids=repr)
def test_a_voice_prompt_may_be_called_anything(remote: RemoteEngine, local: Engine, name: str) -> None:
    """A name that no message can hold ended the connection's thread."""
    prompt = VoicePrompt(name, "This is me.", np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32))
    with remote.conversation() as far, local.conversation(voice=prompt) as near:
        far.configure(voice=prompt)
        assert far.voice == name
        assert np.array_equal(spoken(far, "Hello."), spoken(near, "Hello."))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["", "ftp://host", "ws://", "ws://user:key@host", "ws://host?key=1", "http//host", "host:port", "a b", 7]
)
def test_an_address_that_is_none_is_refused(url: object) -> None:
    with pytest.raises(SettingsError):
        RemoteEngine([url])  # type: ignore[list-item]


async def test_connecting_does_not_block_the_loop(server: RunningServer) -> None:
    remote = await RemoteEngine.connect(server.url)
    assert remote.is_connected
    await asyncio.to_thread(remote.close)


def test_statistics_come_by_themselves(remote: RemoteEngine) -> None:
    with remote.conversation() as talk:
        spoken(talk, "Hello.")  # type: ignore[arg-type]
        wait_until(lambda: remote.stats().frames_stepped > 0)
