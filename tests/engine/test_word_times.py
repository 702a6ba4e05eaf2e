"""The words that come with the sound."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.engine import Engine, SpeechChunk, Utterance, VoicePrompt, Word
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.settings import FRAME_S, Sampling
from tests.engine.helpers import TWENTY_FRAMES, EditedSteps, end_after

TEXT = "Hello there, my 3 friends. How are you today?"
SPOKEN = "Hello there, my three friends. How are you today?"
SEEDED = Sampling(seed=3, max_seconds=4.0)


@pytest.fixture(scope="module")
def attentive_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of the other tests, with heads that are said to follow the text."""
    return write_random_checkpoint(tmp_path_factory.mktemp("attentive"), "tiny", alignment_heads=[(0, 2), (1, 1)])


@pytest.fixture(params=["by attention", "by pace"])
def speaking(request: pytest.FixtureRequest, attentive_checkpoint: Path, tiny_checkpoint: Path) -> Iterator[Engine]:
    checkpoint = attentive_checkpoint if request.param == "by attention" else tiny_checkpoint
    with Engine.load(checkpoint, max_conversations=4) as engine:
        yield engine


def taken(utterance: Utterance) -> tuple[list[SpeechChunk], list[Word]]:
    chunks = list(utterance)
    return chunks, [word for chunk in chunks for word in chunk.words]


def joined(words: list[Word]) -> str:
    return " ".join(word.text for word in words)


def seconds(chunks: list[SpeechChunk]) -> float:
    return sum(len(chunk.codes) for chunk in chunks) * FRAME_S


def test_the_words_of_an_utterance_are_what_it_spoke_in_order_and_within_its_sound(speaking: Engine) -> None:
    EditedSteps(speaking, end_after(30))
    with speaking.conversation() as talk:
        utterance = talk.speak(TEXT, Sampling(seed=1, trim_silence=False))
        chunks, words = taken(utterance)
    assert utterance.finish_reason == "end" and utterance.text == SPOKEN == joined(words)
    assert all(earlier.end_s <= later.start_s for earlier, later in pairwise(words))
    assert all(0 <= word.start_s <= word.end_s <= seconds(chunks) + 1e-9 for word in words)


def test_each_chunk_has_the_words_that_end_in_it_and_the_last_one_the_rest(speaking: Engine) -> None:
    EditedSteps(speaking, end_after(30))
    with speaking.conversation() as talk:
        chunks, words = taken(talk.speak(TEXT, Sampling(seed=1, trim_silence=False)))
    for chunk in chunks[:-1]:
        end_s = chunk.start_s + len(chunk.codes) * FRAME_S
        assert all(chunk.start_s - 1e-9 <= word.end_s <= end_s + 1e-6 for word in chunk.words)
    assert chunks[-1].words[-1] is words[-1]
    assert chunks[-1].start_s == pytest.approx(seconds(chunks[:-1]))


def test_a_text_that_is_not_normalized_gives_its_own_words(speaking: Engine) -> None:
    text = " It's  3 p.m.,\nJoe :-) "
    EditedSteps(speaking, end_after(20))
    with speaking.conversation() as talk:
        utterance = talk.speak(text, Sampling(seed=1, trim_silence=False), normalize=False)
        _, words = taken(utterance)
    assert utterance.text == text == joined(words)


def test_an_utterance_that_is_cut_off_at_its_limit_tells_the_words_that_stay_in_the_context(speaking: Engine) -> None:
    with speaking.conversation() as talk:
        utterance = talk.speak(SPOKEN, TWENTY_FRAMES)
        chunks, words = taken(utterance)
        assert utterance.finish_reason == "length"
        assert joined(words) == talk.segments[-1].text
        assert SPOKEN.startswith(joined(words)) and words[-1].end_s <= seconds(chunks) + 1e-9


def test_a_cancelled_utterance_tells_no_more_words(speaking: Engine) -> None:
    with speaking.conversation() as talk:
        utterance = talk.speak(SPOKEN, SEEDED)
        reader = iter(utterance)
        told = [word for _ in range(6) for word in next(reader).words]
        utterance.cancel()
        assert [word for chunk in reader for word in chunk.words] == []
        assert SPOKEN.startswith(joined(told))


def test_what_was_heard_of_a_turn_is_cut_at_the_times_of_its_words(speaking: Engine) -> None:
    EditedSteps(speaking, end_after(30))
    for share in (0.4, 0.6):
        with speaking.conversation() as talk:
            _, words = taken(talk.speak(SPOKEN, Sampling(seed=1, trim_silence=False)))
            cut = next(word for word in words if word.end_s - word.start_s > 2.5 * FRAME_S)
            number = words.index(cut)
            heard_frames = round((cut.start_s + share * (cut.end_s - cut.start_s)) / FRAME_S)
            heard_s = heard_frames * FRAME_S
            expected = [word for word in words if (word.start_s + word.end_s) / 2 <= heard_s]
            assert len(expected) in (number, number + 1)
            talk.interrupt(heard_s=heard_s)
            kept = [(segment.text, len(segment.codes)) for segment in talk.segments]
            assert kept == ([(joined(expected), heard_frames)] if expected else [])


def test_words_are_the_same_alone_and_beside_others(attentive_checkpoint: Path) -> None:
    texts = ["One, two.", "Two and three.", "Four, five, six and seven.", SPOKEN]

    def say(engine: Engine, number: int) -> list[Word]:
        with engine.conversation() as talk:
            talk.speak("Something before.", Sampling(seed=9, max_seconds=0.16 * number + 0.08))
            return taken(talk.speak(texts[number], Sampling(seed=number, max_seconds=2.4)))[1]

    with Engine.load(attentive_checkpoint, max_conversations=4) as engine:
        alone = [say(engine, number) for number in range(len(texts))]
        with ThreadPoolExecutor(len(texts)) as pool:
            together = list(pool.map(lambda number: say(engine, number), range(len(texts))))
    for one, other in zip(alone, together, strict=True):
        assert joined(one) == joined(other)
        times = [[(word.start_s, word.end_s) for word in words] for words in (one, other)]
        assert np.allclose(*times, atol=1e-3)


def test_heads_that_follow_the_text_change_no_code_and_no_sound(
    attentive_checkpoint: Path, tiny_checkpoint: Path
) -> None:
    spoken = []
    for checkpoint in (attentive_checkpoint, tiny_checkpoint):
        with Engine.load(checkpoint) as engine:
            EditedSteps(engine, end_after(30))
            with engine.conversation() as talk:
                chunks = list(talk.speak(SPOKEN, SEEDED)) + list(talk.speak("And more.", SEEDED))
            spoken.append([np.concatenate([getattr(chunk, kind) for chunk in chunks]) for kind in ("codes", "pcm")])
    assert all(np.array_equal(one, other) for one, other in zip(*spoken, strict=True))


def test_a_voice_prompt_and_earlier_utterances_teach_the_pace(tiny_checkpoint: Path) -> None:
    slow = np.random.default_rng(0).normal(0, 0.1, 24_000 * 8).astype(np.float32)

    def first_end_s(engine: Engine, prompt: VoicePrompt | None) -> float:
        with engine.conversation(voice=prompt) as talk:
            return taken(talk.speak("Well, what is it?", TWENTY_FRAMES))[1][0].end_s

    with Engine.load(tiny_checkpoint) as engine:
        plain_s = first_end_s(engine, None)
        assert first_end_s(engine, VoicePrompt("slow", "Quite a short text, really.", slow)) > 1.3 * plain_s
        EditedSteps(engine, end_after(40))
        with engine.conversation(sampling=Sampling(seed=1)) as talk:
            for _ in range(3):
                taken(talk.speak("Well, what?"))
            assert taken(talk.speak("Well, what is it?"))[1][0].end_s > 1.3 * plain_s
