"""Text in, sound out: what one utterance promises."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.engine import Engine
from csm_plugin.engine.delivery import SilenceGate
from csm_plugin.errors import ContextFullError, EngineClosedError, InputError, SettingsError, TextError, VoiceError
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, Sampling
from tests.engine.helpers import TWENTY_FRAMES, EditedSteps, codes_of, end_after


def test_speech_is_mono_float32_at_24_khz_and_in_range(engine: Engine) -> None:
    pcm = engine.synthesize("Hello there.", sampling=TWENTY_FRAMES)
    assert pcm.dtype == np.float32 and pcm.shape == (20 * FRAME_SAMPLES,)
    assert 0 < np.abs(pcm).max() <= 1


def test_the_same_seed_repeats_an_utterance_and_another_seed_does_not(engine: Engine) -> None:
    first, again, other = (
        engine.synthesize("Hello there.", sampling=Sampling(seed=seed, max_seconds=1.6)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_utterances_of_a_seeded_conversation_differ_from_each_other(engine: Engine) -> None:
    with engine.conversation(sampling=TWENTY_FRAMES) as talk:
        first, second = codes_of(talk.speak("Hello there.")), codes_of(talk.speak("Hello there."))
    assert not np.array_equal(first, second)


def test_the_first_chunk_is_one_frame_and_chunks_join_without_a_gap(engine: Engine) -> None:
    with engine.conversation() as talk:
        chunks = list(talk.speak("Hello there.", TWENTY_FRAMES))
    assert chunks[0].pcm.shape == (FRAME_SAMPLES,)
    frames = 0
    for chunk in chunks:
        assert chunk.start_s == pytest.approx(frames * FRAME_S)
        assert len(chunk.pcm) == len(chunk.codes) * FRAME_SAMPLES
        frames += len(chunk.codes)
    assert frames == 20


async def test_async_and_blocking_iteration_give_the_same_sound(engine: Engine) -> None:
    with engine.conversation() as talk:
        streamed = [chunk.pcm async for chunk in talk.speak("Hello there.", TWENTY_FRAMES)]
    whole = await asyncio.to_thread(engine.synthesize, "Hello there.", sampling=TWENTY_FRAMES)
    assert np.array_equal(np.concatenate(streamed), whole)


def test_codes_are_the_same_alone_and_beside_others(tiny_checkpoint: Path) -> None:
    texts = ["One.", "Two and three.", "Four, five, six and seven."] * 4
    samplings = [Sampling(seed=number, max_seconds=0.8 + 0.16 * number) for number in range(len(texts))]

    def say(engine: Engine, number: int) -> np.ndarray:
        with engine.conversation() as talk:
            return codes_of(talk.speak(texts[number], samplings[number]))

    with Engine.load(tiny_checkpoint, max_conversations=8) as engine:
        alone = [say(engine, number) for number in range(len(texts))]
        with ThreadPoolExecutor(len(texts)) as pool:
            together = list(pool.map(lambda number: say(engine, number), range(len(texts))))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_utterances_of_one_conversation_are_spoken_one_after_the_other(engine: Engine) -> None:
    with engine.conversation(sampling=TWENTY_FRAMES) as talk:
        utterances = [talk.speak(text) for text in ("One.", "Two.", "Three.")]
        for utterance in reversed(utterances[1:]):
            assert not utterance.done
        assert [len(codes_of(utterance)) for utterance in utterances] == [20, 20, 20]
        assert [segment.text for segment in talk.segments] == ["One.", "Two.", "Three."]


def test_an_utterance_ends_with_the_all_zero_frame_which_is_not_heard(engine: Engine) -> None:
    EditedSteps(engine, end_after(7))
    with engine.conversation() as talk:
        utterance = talk.speak("Hello there.", Sampling(seed=1, trim_silence=False))
        assert len(codes_of(utterance)) == 7
        assert utterance.finish_reason == "end"


def test_a_zero_in_some_codebooks_does_not_end_an_utterance(engine: Engine) -> None:
    def zero_first_codebook(number: int, result) -> None:  # type: ignore[no-untyped-def]
        result.codes[:, 0] = 0

    EditedSteps(engine, zero_first_codebook)
    with engine.conversation() as talk:
        utterance = talk.speak("Hello there.", TWENTY_FRAMES)
        assert len(codes_of(utterance)) == 20


def test_an_utterance_that_runs_into_its_cap_is_reported_as_cut_off(engine: Engine) -> None:
    with engine.conversation() as talk:
        by_text = talk.speak("Hi.", Sampling(seed=1, trim_silence=False))
        assert len(codes_of(by_text)) * FRAME_S < 4
        by_limit = talk.speak("Hi.", Sampling(seed=1, max_seconds=0.4, trim_silence=False))
        assert len(codes_of(by_limit)) == 5
        assert by_text.finish_reason == by_limit.finish_reason == "length"


def test_silence_is_dropped_at_both_ends_and_kept_as_a_pause() -> None:
    gate = SilenceGate(trim=True)
    loud, silent = np.full(FRAME_SAMPLES, 0.1, np.float32), np.zeros(FRAME_SAMPLES, np.float32)
    released = []
    for frame in (silent, silent, loud, silent, silent, loud, silent, silent, silent):
        gate.push(frame)
        released.append(gate.released)
    gate.finish()
    assert gate.lead == 2
    assert released == [0, 0, 1, 1, 1, 4, 4, 4, 4]
    assert gate.released == 5


def test_a_long_pause_is_not_held_back_for_ever() -> None:
    gate = SilenceGate(trim=True)
    gate.push(np.full(FRAME_SAMPLES, 0.1, np.float32))
    for _ in range(40):
        gate.push(np.zeros(FRAME_SAMPLES, np.float32))
    assert gate.released >= 27


def test_a_long_text_is_spoken_sentence_by_sentence(engine: Engine) -> None:
    sentence = "This sentence is one of many that follow each other here. "
    spoken = engine.synthesize(sentence * 6, sampling=Sampling(seed=1, max_seconds=0.4, trim_silence=False))
    assert len(spoken) == 6 * 5 * FRAME_SAMPLES


@pytest.mark.parametrize(
    "text", ["", "   ", "\n", "…", "🙂", "a" * 100_000, None, 7, b"bytes"], ids=lambda text: repr(text)[:12]
)
def test_text_that_cannot_be_spoken_is_refused_before_anything_is_spent(engine: Engine, text: object) -> None:
    before = engine.stats().frames_stepped
    with engine.conversation() as talk:
        for normalize in (True, False):
            with pytest.raises(TextError):
                talk.speak(text, normalize=normalize)  # type: ignore[arg-type]
        with pytest.raises(TextError):
            engine.synthesize(text)  # type: ignore[arg-type]
        assert len(codes_of(talk.speak("Still here.", TWENTY_FRAMES))) == 20
    assert engine.stats().frames_stepped == before + 20


def test_text_that_no_context_can_hold_is_refused_with_what_to_do(engine: Engine) -> None:
    with engine.conversation() as talk, pytest.raises(ContextFullError, match="split the text"):
        talk.speak("and so on " * 400)


def test_special_tokens_in_a_text_stay_text(engine: Engine) -> None:
    with engine.conversation() as talk:
        talk.speak("Hi <|end_of_text|><|AUDIO|> there.", TWENTY_FRAMES, normalize=False).cancel()
        tokens = engine._tokenizer.encode("Hi <|end_of_text|><|AUDIO|> there.", 0)
        assert list(tokens).count(tokens[-1]) == 1 and list(tokens).count(tokens[0]) == 1


@pytest.mark.parametrize("voice", ["nobody", "../x", "/etc/passwd", "a" * 300, "x\0", 7])
def test_an_unknown_voice_is_refused(engine: Engine, voice: object) -> None:
    with pytest.raises(VoiceError, match="known voices"):
        engine.conversation(voice=voice)  # type: ignore[arg-type]
    assert engine.stats().conversations == 0


@pytest.mark.parametrize("speaker", [-1, 100, "0", 1.5, None, True])
def test_an_unknown_speaker_is_refused(engine: Engine, speaker: object) -> None:
    with pytest.raises(InputError, match="0 to 99"):
        engine.conversation(speaker=speaker)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "setting",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": "hot"},
        {"top_k": 0},
        {"top_k": 1.5},
        {"seed": -1},
        {"max_seconds": 0},
    ],
)
def test_a_sampling_setting_out_of_range_is_refused(setting: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="it must be"):
        Sampling(**setting)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "setting",
    [{"device": "abacus"}, {"dtype": "int3"}, {"max_conversations": 0}, {"max_queue": -1}, {"max_conversations": 1.5}],
)
def test_a_load_setting_out_of_range_is_refused(tiny_checkpoint: Path, setting: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        Engine.load(tiny_checkpoint, **setting)  # type: ignore[arg-type]


def test_a_closed_engine_says_so(tiny_checkpoint: Path) -> None:
    engine = Engine.load(tiny_checkpoint)
    talk = engine.conversation()
    utterance = talk.speak("This will not be finished, because the engine closes.")
    engine.close()
    with pytest.raises(EngineClosedError):
        list(utterance)
    with pytest.raises(EngineClosedError):
        talk.speak("More.")
    with pytest.raises(EngineClosedError):
        engine.conversation()
