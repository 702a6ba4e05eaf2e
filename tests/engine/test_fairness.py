"""Readers who leave, stall or queue up, and jobs that fail: each once went wrong."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.engine import Engine, VoicePrompt, live_batch
from csm_plugin.errors import (
    ContextFullError,
    EngineBusyError,
    EngineClosedError,
    GenerationError,
    InputError,
    ReaderStalledError,
    SettingsError,
    TextError,
)
from csm_plugin.settings import Sampling
from tests.engine.helpers import GREEDY, TWENTY_FRAMES, codes_of, spoken
from tests.engine.test_load import ENDLESS, LONG_TEXT

Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def single(tiny_checkpoint: Path) -> Iterator[Engine]:
    with Engine.load(tiny_checkpoint, max_conversations=1) as engine:
        yield engine


@pytest.fixture
def prompt() -> VoicePrompt:
    return VoicePrompt(
        "ann", "This is how I sound.", np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    )


def test_readers_that_are_garbage_collected_block_nothing(engine: Engine) -> None:
    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        with engine.conversation() as talk:
            for _ in range(30):
                reader = iter(talk.speak(LONG_TEXT, ENDLESS))
                next(reader)
                cycle: list[object] = [reader]
                cycle.append(cycle)
                del reader, cycle
                for _ in range(20):
                    assert isinstance(talk.segments, tuple)
            talk.interrupt()
            assert len(spoken(talk, "Still here.")) == 20
    finally:
        gc.set_threshold(*threshold)


def test_a_dropped_conversation_closes_even_with_sound_unread(engine: Engine, eventually: Eventually) -> None:
    for _ in range(3):
        engine.conversation().speak(LONG_TEXT, ENDLESS)
    gc.collect()
    eventually(lambda: engine.stats().conversations == 0 and engine.stats().live_rows == 0)


def test_a_voice_prompt_counts_before_it_is_encoded(engine: Engine, prompt: VoicePrompt) -> None:
    room = engine._model.positions - 14 - 3 - len("[0]")
    with engine.conversation(voice=prompt) as talk:
        with pytest.raises(ContextFullError, match="shorter voice prompt"):
            talk.speak("a" * room, normalize=False)
        assert len(spoken(talk, "Short.")) == 20


def test_a_turn_that_no_context_holds_is_refused(engine: Engine) -> None:
    with engine.conversation() as talk, pytest.raises(ContextFullError):
        talk.listen("and so on " * 200, np.zeros(24_000 * 115, np.float32))


def test_closing_a_conversation_ends_the_wait_for_a_turn(engine: Engine) -> None:
    talk = engine.conversation()
    turn = talk.listen("Hello.", np.full(24_000 * 100, 0.1, np.float32))
    talk.close()
    with pytest.raises(EngineClosedError):
        turn.wait(10)
    assert engine._scheduler.background._encodings == {}


def test_a_reader_who_stalls_gives_way_to_those_who_wait(single: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_batch, "STALLED_S", 0.1)
    with single.conversation() as stalled, single.conversation() as waiting:
        reader = iter(stalled.speak(LONG_TEXT, ENDLESS))
        taken = len(next(reader).codes)
        assert len(spoken(waiting, "My turn.")) == 20
        with pytest.raises(ReaderStalledError, match="read it faster"):
            for chunk in reader:
                taken += len(chunk.codes)
        assert taken <= 34


def test_a_long_queue_lets_others_in_between(single: Engine) -> None:
    order: list[str] = []

    def read(name: str, utterance: object) -> None:
        codes_of(utterance)  # type: ignore[arg-type]
        order.append(name)

    with single.conversation() as first, single.conversation() as second, ThreadPoolExecutor(8) as pool:
        early = [first.speak("One.", TWENTY_FRAMES) for _ in range(2)]
        other = second.speak("Two.", TWENTY_FRAMES)
        late = [first.speak("Three.", TWENTY_FRAMES) for _ in range(4)]
        for name, utterance in [("a", early[0]), ("a", early[1]), ("b", other), *(("a", one) for one in late)]:
            pool.submit(read, name, utterance)
    assert "".join(order) == "aabaaaa"


def test_unread_sound_is_bounded_over_all_utterances(engine: Engine, eventually: Eventually) -> None:
    with engine.conversation() as talk:
        utterances = [talk.speak("Unread.", Sampling(seed=1, max_seconds=0.4, trim_silence=False)) for _ in range(20)]
        eventually(lambda: sum(len(utterance._buffer) for utterance in utterances) >= 25)
        assert len(codes_of(utterances[0])) == 5
        assert sum(len(utterance._buffer) for utterance in utterances) <= 30
        talk.interrupt()


def test_an_interruption_stops_what_was_unread_before_the_other_side_spoke(engine: Engine) -> None:
    with engine.conversation() as talk:
        utterance = talk.speak("One two three four.", TWENTY_FRAMES)
        reader = iter(utterance)
        taken = len(next(reader).codes)
        talk.listen("Hm.", np.full(2_000, 0.1, np.float32)).wait(10)
        talk.interrupt()
        assert next(reader, None) is None and utterance.finish_reason == "cancelled"
        held = [segment for segment in talk.segments if segment.speaker == 0]
        assert sum(len(segment.codes) for segment in held) <= taken


def test_a_voice_that_cannot_be_encoded_fails_what_is_spoken_with_it(engine: Engine, prompt: VoicePrompt) -> None:
    encode = engine._model.mimi.encode
    failures = iter([True])

    def fail(*arguments: object) -> object:
        if next(failures, False):
            raise MemoryError("out of memory")
        return encode(*arguments)  # type: ignore[arg-type]

    object.__setattr__(engine._model, "mimi", _With(engine._model.mimi, encode=fail))
    with engine.conversation(voice=prompt) as talk, pytest.raises(GenerationError):
        spoken(talk, "Hello.")
    with engine.conversation(voice=prompt) as talk:
        assert len(spoken(talk, "Hello.")) == 20


class _With:
    """An object with some attributes replaced."""

    def __init__(self, real: object, **replaced: object) -> None:
        self.__dict__.update(replaced)
        self._real = real

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


def test_a_voice_is_prefilled_again_after_a_failure_with_it(engine: Engine, prompt: VoicePrompt) -> None:
    prefill = engine._model.prefill
    bad = iter([True])

    def fail(row: int, start: int, inputs: np.ndarray) -> None:
        prefill(row, start, inputs)
        if next(bad, False):
            engine._model.cache.data[:, row, start : start + len(inputs)] = float("nan")

    engine._model.prefill = fail  # type: ignore[method-assign]
    with engine.conversation(voice=prompt) as talk, pytest.raises(GenerationError):
        spoken(talk, "Hello.")
    with engine.conversation(voice=prompt) as talk:
        assert len(spoken(talk, "Hello.")) == 20


def test_a_failure_to_begin_leaves_nothing_in_the_context(engine: Engine) -> None:
    begin = engine._model.begin
    failures = iter([True])

    def fail(*arguments: object) -> None:
        if next(failures, False):
            raise MemoryError("out of memory")
        begin(*arguments)  # type: ignore[arg-type]

    engine._model.begin = fail  # type: ignore[method-assign]
    with engine.conversation() as talk:
        with pytest.raises(GenerationError):
            spoken(talk, "Hello.")
        assert talk.segments == ()
        assert len(spoken(talk, "Hello.")) == 20


def test_what_was_cut_off_keeps_only_the_words_in_its_sound(engine: Engine) -> None:
    with engine.conversation() as talk:
        short = Sampling(seed=1, max_seconds=0.8, trim_silence=False)
        codes_of(talk.speak("One two three four five six seven eight.", short))
        assert talk.segments[0].text == "One two three"


def test_a_refused_change_changes_nothing(engine: Engine, prompt: VoicePrompt) -> None:
    with engine.conversation() as talk:
        with pytest.raises(EngineBusyError):
            for _ in range(100):
                talk.speak(LONG_TEXT, ENDLESS)
        with pytest.raises(EngineBusyError):
            talk.configure(voice=prompt, speaker=7)
        assert (talk.voice, talk.speaker) == (None, 0)
        talk.interrupt()
        talk.configure(voice=prompt, speaker=7)
        assert (talk.voice, talk.speaker) == ("ann", 7)


def test_an_utterance_is_read_once(engine: Engine) -> None:
    with engine.conversation() as talk:
        utterance = talk.speak("Hello.", GREEDY)
        assert len(codes_of(utterance)) == 20
        with pytest.raises(InputError, match="once"):
            iter(utterance)


def test_seeds_go_round_at_their_end(engine: Engine) -> None:
    with engine.conversation(sampling=Sampling(seed=2**63 - 1, max_seconds=0.4, trim_silence=False)) as talk:
        assert [len(codes_of(talk.speak("Hello."))) for _ in range(2)] == [5, 5]


def test_a_long_text_with_something_unspeakable_in_it_is_spoken(engine: Engine) -> None:
    text = "This is a sentence that is worth saying. " * 8 + "🙂🙂🙂! *** ... And on it goes."
    assert len(engine.synthesize(text, sampling=Sampling(seed=1, max_seconds=0.4, trim_silence=False)))


@pytest.mark.parametrize("sampling", [{"temperature": 1}, "hot", 3])
def test_sampling_of_another_type_is_refused_at_once(engine: Engine, sampling: object) -> None:
    with pytest.raises(SettingsError, match="pass a Sampling"):
        engine.conversation(sampling=sampling)  # type: ignore[arg-type]
    with engine.conversation() as talk, pytest.raises(SettingsError, match="pass a Sampling"):
        talk.speak("Hello.", sampling)  # type: ignore[arg-type]


def test_text_that_is_not_unicode_is_refused(engine: Engine) -> None:
    with engine.conversation() as talk, pytest.raises(TextError, match="Unicode"):
        talk.speak("hello \ud800", normalize=False)
