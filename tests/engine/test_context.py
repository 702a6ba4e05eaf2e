"""What a conversation remembers, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.engine import Conversation, Engine, VoicePrompt
from csm_plugin.engine.encoding import Encoding
from csm_plugin.errors import AudioError, GenerationError, TextError
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, Sampling
from tests.engine.helpers import GREEDY, TWENTY_FRAMES, HeldEncoder, Prefills, codes_of, spoken

SOUND = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def prompt() -> VoicePrompt:
    sound = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    return VoicePrompt("ann", "This is how I sound.", sound)


def settled(engine: Engine, talk: Conversation) -> bool:
    """Tell whether a conversation's cache has caught up with its ledger."""
    session = talk._session
    caught_up = session.slot is not None and session.slot.length == session.ledger.length
    return session.live is None and not session.jobs and caught_up


def fail(*_: object) -> None:
    """A codec that breaks down."""
    raise RuntimeError("out of memory")


def lose_caches(engine: Engine, eventually: Eventually) -> None:
    """Make other conversations take every row."""
    others = [engine.conversation() for _ in range(engine.max_conversations)]
    for other in others:
        spoken(other, "Something else.")
    for other in others:
        other.close()
    eventually(lambda: engine.stats().conversations == 1)


def test_a_cache_rebuilt_from_the_ledger_goes_on_like_the_live_one(engine: Engine, eventually: Eventually) -> None:
    with engine.conversation() as talk:
        spoken(talk, "First of all.")
        live = spoken(talk, "And then more.")
    with engine.conversation() as talk:
        spoken(talk, "First of all.")
        lose_caches(engine, eventually)
        rebuilt = spoken(talk, "And then more.")
    assert np.array_equal(live, rebuilt)


def test_after_an_interruption_too(engine: Engine, eventually: Eventually) -> None:
    def interrupted(talk: Conversation) -> None:
        spoken(talk, "First of all.")
        talk._session.ledger.begin_turn()
        reader = iter(talk.speak("A long and winding sentence that is cut off.", Sampling(temperature=0)))
        eventually(lambda: (live := talk._session.live) is not None and live.is_full)  # the same chunks each time
        heard = 0
        while heard < 12:
            heard += len(next(reader).codes)
        talk.interrupt(heard_s=0.8)

    with engine.conversation() as talk:
        interrupted(talk)
        live = spoken(talk, "And then more.")
    with engine.conversation() as talk:
        interrupted(talk)
        lose_caches(engine, eventually)
        rebuilt = spoken(talk, "And then more.")
    assert np.array_equal(live, rebuilt)


def test_what_was_said_before_changes_what_is_said_next(engine: Engine) -> None:
    with engine.conversation() as talk:
        spoken(talk, "First of all.")
        after = spoken(talk, "And then more.")
    with engine.conversation() as talk:
        alone = spoken(talk, "And then more.")
    assert not np.array_equal(after, alone)


def test_a_turn_prefills_what_is_new_and_nothing_else(engine: Engine, eventually: Eventually) -> None:
    prefills = Prefills(engine)
    with engine.conversation() as talk:
        for _ in range(5):
            spoken(talk, "The same text again.")
        eventually(lambda: settled(engine, talk))
        text = len("[0]The same text again.") + 2
    last_frame_and_closing = 2
    assert prefills.total == 5 * (text - 1 + last_frame_and_closing)


def test_a_voice_prompt_is_encoded_and_prefilled_once_and_shared(
    engine: Engine, prompt: VoicePrompt, eventually: Eventually
) -> None:
    prefills = Prefills(engine)
    talks = [engine.conversation(voice=prompt) for _ in range(3)]
    for talk in talks:
        spoken(talk, "Hello.")
    pinned = talks[0]._session.ledger.prompt_length
    assert pinned > 13
    assert sum(max(0, min(start + count, pinned) - start) for _, start, count in prefills.calls) == pinned
    for talk in talks:
        talk.close()


def test_a_voice_prompt_changes_the_voice_and_is_no_segment(engine: Engine, prompt: VoicePrompt) -> None:
    with engine.conversation(voice=prompt) as talk:
        prompted = spoken(talk, "Hello.")
        assert [segment.text for segment in talk.segments] == ["Hello."]
        talk.configure(voice=None)
        talk.interrupt()
        spoken(talk, "Hello.")
    with engine.conversation() as talk:
        assert not np.array_equal(prompted, spoken(talk, "Hello."))


def test_a_full_context_drops_the_oldest_segments_and_keeps_the_voice(
    engine: Engine, prompt: VoicePrompt, eventually: Eventually
) -> None:
    long = Sampling(temperature=0, max_seconds=12, trim_silence=False)
    with engine.conversation(voice=prompt) as talk:
        numbers = "one two three four five six seven eight nine ten eleven twelve".split()
        texts = [f"Sentence number {number}, which goes on for quite a while to fill it all up." for number in numbers]
        for text in texts:
            spoken(talk, text, long)
        ledger = talk._session.ledger
        assert ledger.length <= engine._model.positions
        assert ledger.prompt_length > 13
        kept = [segment.text for segment in talk.segments]
        assert 2 < len(kept) < len(texts)
        assert kept == texts[-len(kept) :]
        eventually(lambda: settled(engine, talk))
        prefills = Prefills(engine)
        spoken(talk, "Short.")
        assert prefills.calls[0][2] == len("[0]Short.") + 1


def test_context_is_caught_up_with_in_idle_time(engine: Engine, eventually: Eventually) -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 72_000).astype(np.float32)
    with engine.conversation() as talk:
        spoken(talk, "Hello.")
        talk.listen("How are you today?", sound).wait(10)
        eventually(lambda: settled(engine, talk))
        prefills = Prefills(engine)
        spoken(talk, "Fine.")
        assert prefills.calls[0][2] == len("[0]Fine.") + 1


def test_listening_adds_the_other_sides_sound_and_words(engine: Engine) -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
    with engine.conversation() as talk:
        before = spoken(talk, "Hello.")
        talk.listen("How are **you**?", sound, sample_rate=16_000, speaker=3).wait(10)
        _, heard = talk.segments
        assert (heard.speaker, heard.text, heard.seconds) == (3, "How are you?", pytest.approx(13 * FRAME_S))
        after = spoken(talk, "Hello.")
    assert not np.array_equal(before, after)


async def test_listening_can_be_awaited_and_needs_no_words(engine: Engine) -> None:
    async with engine.conversation() as talk:
        await talk.listen("", np.zeros(4_000, np.int16))
        assert [segment.text for segment in talk.segments] == [""]


@pytest.mark.parametrize(
    ("pcm", "rate"),
    [
        (np.array([0.1, np.nan], np.float32), 24_000),
        (np.zeros((2, 100), np.float32), 24_000),
        (np.zeros(100, np.float32), 0),
        (np.zeros(100, np.float32), "24k"),
        (np.zeros(0, np.float32), 24_000),
        (np.zeros(24_000 * 121, np.float32), 24_000),
        ("sound", 24_000),
    ],
    ids=["nan", "stereo", "no rate", "a word as rate", "empty", "too long", "a word"],
)
def test_sound_that_cannot_be_used_is_refused(engine: Engine, pcm: object, rate: object) -> None:
    with engine.conversation() as talk:
        with pytest.raises(AudioError):
            talk.listen("Hello.", pcm, sample_rate=rate)  # type: ignore[arg-type]
        with pytest.raises(TextError):
            talk.listen(7, np.zeros(2_000, np.float32))  # type: ignore[arg-type]
        assert talk.segments == ()


def test_only_what_was_heard_of_a_turn_stays(engine: Engine) -> None:
    with engine.conversation() as talk:
        for text in ("One two three four.", "Five six seven eight.", "Nine ten."):
            spoken(talk, text, TWENTY_FRAMES)
        talk.interrupt(heard_s=2.4)
        first, second = talk.segments
        assert (first.text, len(first.codes)) == ("One two three four.", 20)
        assert (second.text, len(second.codes)) == ("Five six", 10)


def test_an_interruption_leaves_earlier_turns_alone(engine: Engine) -> None:
    with engine.conversation() as talk:
        spoken(talk, "One two three four.", TWENTY_FRAMES)
        talk.listen("Hm.", np.full(2_000, 0.1, np.float32)).wait(10)
        spoken(talk, "Five six seven eight.", TWENTY_FRAMES)
        talk.interrupt(heard_s=0)
        assert [segment.text for segment in talk.segments] == ["One two three four.", "Hm."]


def test_without_a_position_what_was_taken_counts_as_heard(engine: Engine) -> None:
    with engine.conversation() as talk:
        codes_of(talk.speak("One two three four.", TWENTY_FRAMES))
        reader = iter(talk.speak("Five six seven eight nine ten eleven twelve.", Sampling(seed=1)))
        taken = 0
        while taken < 16:
            taken += len(next(reader).codes)
        talk.interrupt()
        _, cut = talk.segments
        assert cut.text.startswith("Five six") and cut.text != "Five six seven eight nine ten eleven twelve."
        assert len(cut.codes) - taken <= 25  # leading silence that was never delivered
        assert next(reader, None) is None


def test_sound_is_a_whole_number_of_frames(engine: Engine) -> None:
    assert len(engine.synthesize("Hello.", sampling=GREEDY)) % FRAME_SAMPLES == 0


def test_a_conversation_survives_without_its_row(tiny_checkpoint: Path) -> None:
    with Engine.load(tiny_checkpoint, max_conversations=1) as engine:
        talks = [engine.conversation() for _ in range(3)]
        together = [[spoken(talk, text) for talk in talks] for text in ("One.", "Two.", "Three.")]
        for earlier, later, last in zip(*together, strict=True):
            assert not np.array_equal(earlier, later)
            assert not np.array_equal(later, last)
        for said in together:
            assert np.array_equal(said[0], said[1]) and np.array_equal(said[1], said[2])


def test_a_turn_that_comes_while_it_speaks_follows_what_is_spoken(engine: Engine) -> None:
    with engine.conversation() as talk:
        utterance = talk.speak("One two three four.", TWENTY_FRAMES)
        turn = talk.listen("Go on.", np.full(4_000, 0.1, np.float32))
        after = talk.speak("Five six seven eight.", TWENTY_FRAMES)
        codes_of(utterance), turn.wait(10), codes_of(after)
        assert [segment.text for segment in talk.segments] == ["One two three four.", "Go on.", "Five six seven eight."]
        talk.interrupt(heard_s=0)
        assert [segment.text for segment in talk.segments] == ["One two three four.", "Go on."]


def test_a_reply_overtakes_a_turn_that_is_still_being_encoded(engine: Engine, eventually: Eventually) -> None:
    encoder = HeldEncoder(engine)
    with engine.conversation() as talk:
        before = spoken(talk, "Hello.")
        turn = talk.listen("How are you?", SOUND)
        reply = spoken(talk, "Fine.", TWENTY_FRAMES)
        assert [segment.text for segment in talk.segments] == ["Hello.", "Fine."]
        talk.interrupt(heard_s=0.8)
        assert [len(segment.codes) for segment in talk.segments] == [20, 10]
        encoder.release()
        turn.wait(10)
        assert [segment.text for segment in talk.segments] == ["Hello.", "How are you?", "Fine."]
        eventually(lambda: settled(engine, talk))
        following = spoken(talk, "Good.")
    with engine.conversation() as talk:
        assert np.array_equal(spoken(talk, "Hello."), before)
        talk.listen("How are you?", SOUND).wait(10)
        context = talk._session.ledger
        informed = spoken(talk, "Fine.", TWENTY_FRAMES)
        assert not np.array_equal(informed, reply)
        context._entries[-1].frames[:] = list(reply)
        talk.interrupt(heard_s=0.8)
        assert np.array_equal(spoken(talk, "Good."), following)


def test_a_turn_that_fails_gives_its_place_away(engine: Engine) -> None:
    encoder = HeldEncoder(engine)
    with engine.conversation() as talk:
        turn = talk.listen("How are you?", SOUND)
        spoken(talk, "Fine.")
        with pytest.MonkeyPatch.context() as fault:
            fault.setattr(Encoding, "advance", fail)
            encoder.release()
            with pytest.raises(GenerationError):
                turn.wait(10)
        assert [segment.text for segment in talk.segments] == ["Fine."]
        assert len(talk._session.ledger._entries) == 1
        spoken(talk, "Good.")


def test_a_waiting_conversation_takes_an_idle_row_and_never_a_waiting_ones(tiny_checkpoint: Path) -> None:
    with Engine.load(tiny_checkpoint, max_conversations=2) as engine:
        talks = [engine.conversation() for _ in range(6)]
        for talk in talks:
            spoken(talk, "Some context that has to be rebuilt each time. " * 4)
        utterances = [talk.speak("More.", GREEDY) for talk in talks]
        assert [len(codes_of(utterance)) for utterance in utterances] == [20] * 6
