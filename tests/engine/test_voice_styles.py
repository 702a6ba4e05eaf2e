"""A voice prompt stands in front of the conversation, or every utterance continues it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from csm_plugin.conversation import Segment
from csm_plugin.engine import Engine, VoicePrompt
from csm_plugin.errors import CheckpointFormatError, ContextFullError, VoiceError
from csm_plugin.model.csm import CSM
from csm_plugin.model.opened import open_checkpoint
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.model.rows import Rows
from csm_plugin.settings import FRAME_SAMPLES, Sampling
from tests.engine.helpers import GREEDY, TWENTY_FRAMES, HeldEncoder, Prefills, codes_of, spoken
from tests.engine.test_context import lose_caches, settled
from tests.model.helpers import CPU, Speaker, frame_positions, reference_of, speak, text_positions, tokens_of
from tests.model.test_parity import generated
from tests.replicas.repositories import write_marvis, write_mimi, write_reference
from tests.replicas.tensors import MARVIS

Eventually = Callable[[Callable[[], bool]], None]
RANDOM = np.random.default_rng(0)
PROMPT_TEXT = "This is how I sound."
FRAMES = 12
HEARD = RANDOM.normal(0, 0.1, 9 * FRAME_SAMPLES).astype(np.float32)
LONG = Sampling(temperature=0, max_seconds=12, trim_silence=False)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def prompt() -> VoicePrompt:
    sound = RANDOM.normal(0, 0.1, FRAMES * FRAME_SAMPLES).astype(np.float32)
    return VoicePrompt("ann", PROMPT_TEXT, sound, style="continue")


@pytest.fixture(scope="module")
def by_hand(tiny_checkpoint: Path) -> CSM:
    """A model that is fed position by position."""
    return CSM(tiny_checkpoint, device=CPU, dtype=torch.float32, rows=1)


@pytest.fixture
def expected(
    by_hand: CSM, tiny_checkpoint: Path, prompt: VoicePrompt
) -> Callable[[Sequence[Segment], str], np.ndarray]:
    """The greedy codes of a text that continues the prompt, behind segments: int [20, codebooks]."""
    closing = np.zeros((1, by_hand.config.codebooks))
    frames = encoded(by_hand, prompt.pcm)

    def speak_on(before: Sequence[Segment], text: str) -> np.ndarray:
        parts = []
        for segment in before:
            tokens = tokens_of(tiny_checkpoint, segment.text, segment.speaker)
            parts += [text_positions(by_hand, tokens), frame_positions(segment.codes), frame_positions(closing)]
        joined = tokens_of(tiny_checkpoint, f"{PROMPT_TEXT} {text}", 0)
        context = np.concatenate([*parts, text_positions(by_hand, joined), frame_positions(frames)])
        return speak(Speaker.begin(by_hand, 0, context), 20, top_k=1).numpy()

    return speak_on


def encoded(model: CSM, pcm: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model.mimi.encode(torch.from_numpy(pcm)[None], model.mimi.encoder_state(), Rows([0], CPU))[0].numpy()


@pytest.mark.parametrize("heard", [False, True], ids=["at first", "behind another turn"])
def test_it_says_what_transformers_says_behind_both_texts_and_the_prompts_frames(
    engine: Engine, tiny_checkpoint: Path, prompt: VoicePrompt, heard: bool
) -> None:
    reference = reference_of(tiny_checkpoint)
    frame, closing = reference.config.audio_token_id, reference.config.audio_eos_token_id
    joined = tokens_of(tiny_checkpoint, f"{PROMPT_TEXT} And so on.", 0)
    turn = [*tokens_of(tiny_checkpoint, "How are you?", 1), *[frame] * 9, closing] if heard else []
    sounds = [HEARD, prompt.pcm] if heard else [prompt.pcm]
    sound = torch.from_numpy(np.concatenate(sounds))
    theirs = generated(
        reference,
        np.concatenate((turn, joined, [frame] * FRAMES)),
        input_values=sound[None, None],
        input_values_cutoffs=torch.tensor([np.cumsum([len(one) for one in sounds]).tolist()]),
    )
    with engine.conversation(prompt) as talk:
        if heard:
            talk.listen("How are you?", HEARD).wait(10)
        ours = spoken(talk, "And so on.", LONG)
    count = min(len(ours), len(theirs))
    assert count > 40
    assert np.array_equal(ours[:count], theirs[:count].numpy())


def test_marvis_says_what_transformers_says_without_being_told_a_style(tmp_path: Path, prompt: VoicePrompt) -> None:
    folder, codec = write_marvis(tmp_path / "marvis", MARVIS), write_mimi(tmp_path / "mimi", MARVIS)
    reference = reference_of(write_reference(tmp_path / "reference", MARVIS))
    with Engine.load(folder, codec=codec, max_conversations=1) as engine:
        tokens = engine._tokenizer.encode(f"{PROMPT_TEXT} And so on.", 0)
        # Marvis's vocabulary has no place for transformers' placeholders: take ids that the text does not use
        frame, closing = np.setdiff1d(np.arange(300), tokens)[:2].tolist()
        reference.config.audio_token_id, reference.config.audio_eos_token_id = frame, closing
        theirs = generated(
            reference,
            np.concatenate((tokens, [frame] * FRAMES)),
            input_values=torch.from_numpy(prompt.pcm)[None, None],
            input_values_cutoffs=torch.tensor([[len(prompt.pcm)]]),
        )
        with engine.conversation(replace(prompt, style=None)) as talk:
            ours = spoken(talk, "And so on.", Sampling(temperature=0, max_seconds=2.4, trim_silence=False))
    assert len(ours) == 30 and len(np.unique(ours, axis=0)) > 15, "the model is stuck"
    assert np.array_equal(ours, theirs[:30].numpy())


def test_every_utterance_continues_the_prompt_behind_what_was_said_and_heard(
    engine: Engine, prompt: VoicePrompt, expected: Callable[[Sequence[Segment], str], np.ndarray]
) -> None:
    with engine.conversation(prompt) as talk:
        assert np.array_equal(spoken(talk, "One two three four."), expected((), "One two three four."))
        before = talk.segments
        assert np.array_equal(spoken(talk, "Five six."), expected(before, "Five six."))
        talk.listen("Go on.", HEARD).wait(10)
        before = talk.segments
        assert np.array_equal(spoken(talk, "Seven eight nine ten."), expected(before, "Seven eight nine ten."))
        talk.interrupt(heard_s=0.8)
        before = talk.segments
        assert [len(one.codes) for one in before] == [20, 20, 9, 10]
        assert "Seven eight nine ten.".startswith(before[-1].text) and before[-1].text != "Seven eight nine ten."
        assert np.array_equal(spoken(talk, "Eleven."), expected(before, "Eleven."))


def test_the_prompt_is_no_segment_and_none_of_its_words_is_said(engine: Engine, prompt: VoicePrompt) -> None:
    with engine.conversation(prompt) as talk:
        assert talk.segments == ()
        utterance = talk.speak("Hello there, you.", TWENTY_FRAMES)
        words = [word.text for chunk in utterance for word in chunk.words]
        assert utterance.text == talk.segments[0].text == "Hello there, you."
        assert "Hello there, you.".startswith(" ".join(words))
        assert talk._session.ledger.prompt_length == 0


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "interrupted"])
def test_a_cache_rebuilt_from_the_ledger_goes_on_like_the_live_one(
    engine: Engine, prompt: VoicePrompt, eventually: Eventually, cut: bool
) -> None:
    following = []
    for rebuilt in (False, True):
        with engine.conversation(prompt) as talk:
            spoken(talk, "First of all, this.")
            if cut:
                talk.interrupt(heard_s=0.8)
            if rebuilt:
                lose_caches(engine, eventually)
            following.append(spoken(talk, "And then more."))
    assert np.array_equal(*following)


def test_it_says_the_same_alone_and_in_a_batch(engine: Engine, prompt: VoicePrompt) -> None:
    styles = [prompt, replace(prompt, style="context"), None, prompt]
    texts = ["One, and only one.", "Two.", "Three or so.", "Four."]
    seeds = [Sampling(seed=number, max_seconds=1.6, trim_silence=False) for number in range(4)]
    alone = []
    for style, text, sampling in zip(styles, texts, seeds, strict=True):
        with engine.conversation(style) as talk:
            alone.append(spoken(talk, text, sampling))
    talks = [engine.conversation(style) for style in styles]
    utterances = [talk.speak(text, one) for talk, text, one in zip(talks, texts, seeds, strict=True)]
    for utterance, wanted in zip(utterances, alone, strict=True):
        assert np.array_equal(codes_of(utterance), wanted)
    for talk in talks:
        talk.close()


def test_the_style_changes_between_two_utterances(
    engine: Engine,
    prompt: VoicePrompt,
    expected: Callable[[Sequence[Segment], str], np.ndarray],
    eventually: Eventually,
) -> None:
    context = replace(prompt, style="context")
    with engine.conversation(context) as talk:
        spoken(talk, "Hello.")
        hello = talk.segments
        behind = spoken(talk, "And more.")
        talk.interrupt()
    with engine.conversation(prompt) as talk:
        assert np.array_equal(spoken(talk, "And more."), expected((), "And more."))
        talk.interrupt(heard_s=0)
        talk.configure(voice=context)
        assert np.array_equal(spoken(talk, "Hello."), hello[0].codes)
        assert np.array_equal(spoken(talk, "And more."), behind)
        before = talk.segments
        talk.configure(voice=prompt)
        assert np.array_equal(spoken(talk, "At last."), expected(before, "At last."))
        assert talk.voice == "ann"
        talk.configure(voice=None)
        talk.interrupt()
        eventually(lambda: settled(engine, talk))
        prefills = Prefills(engine)
        spoken(talk, "Plain.")
        assert prefills.calls[0][2] == len("[0]Plain.") + 1


def test_what_waits_while_the_style_changes_is_spoken_in_the_style_of_its_time(
    engine: Engine, prompt: VoicePrompt, expected: Callable[[Sequence[Segment], str], np.ndarray]
) -> None:
    encoder = HeldEncoder(engine)
    with engine.conversation() as talk:
        talk.configure(voice=prompt)
        first = talk.speak("And more.", GREEDY)
        talk.configure(voice=replace(prompt, style="context"))
        second = talk.speak("At last.", GREEDY)
        encoder.release()
        assert np.array_equal(codes_of(first), expected((), "And more."))
        codes_of(second)
        assert talk._session.ledger.prompt_length == len(f"[0]{PROMPT_TEXT}") + 2 + FRAMES + 1


def test_attention_is_read_over_the_new_text_alone(tmp_path: Path, prompt: VoicePrompt) -> None:
    checkpoint = write_random_checkpoint(tmp_path / "attentive", "tiny", alignment_heads=[(0, 2), (1, 1)])
    with Engine.load(checkpoint, max_conversations=1) as engine:
        begin, spans = engine._model.begin, []

        def note(*args: object) -> None:
            spans.append(args[-1])
            begin(*args)  # type: ignore[arg-type]

        engine._model.begin = note  # type: ignore[method-assign]
        with engine.conversation(prompt) as talk:
            for text in ("Once.", "And then again."):
                utterance = talk.speak(text, TWENTY_FRAMES)
                reader = iter(utterance)
                next(reader)
                assert talk._session.slot is not None
                (span,) = spans
                tokens = talk._session.slot.held[span.start : span.stop, 0]
                # the characters of the text and not the space before it: it stands for none of the text's
                assert tokens.tolist() == tokens_of(checkpoint, text, 0)[4:-1].tolist()
                spans.clear()
                list(reader)


def test_sound_is_the_decoded_codes_of_the_new_text(engine: Engine, by_hand: CSM, prompt: VoicePrompt) -> None:
    with engine.conversation(prompt) as talk:
        chunks = list(talk.speak("And so on.", GREEDY))
    codes = torch.from_numpy(np.concatenate([chunk.codes for chunk in chunks]).astype(np.int64))
    with torch.inference_mode():
        whole = by_hand.mimi.decode(codes[None], by_hand.mimi.decoder_state(), Rows([0], CPU))[0].numpy()
    np.testing.assert_allclose(np.concatenate([chunk.pcm for chunk in chunks]), whole, atol=2e-5)


def test_a_text_that_does_not_fit_beside_the_prompt_is_refused(engine: Engine, prompt: VoicePrompt) -> None:
    free = engine._model.positions - len("[0]") - 2 - 13 - 1
    long = "a" * (free - len(PROMPT_TEXT) - FRAMES)
    with engine.conversation() as talk:
        talk.speak(long).cancel()
    with engine.conversation(prompt) as talk, pytest.raises(ContextFullError, match="shorter voice prompt"):
        talk.speak(long)


def test_a_full_context_drops_the_oldest_segments(engine: Engine, prompt: VoicePrompt) -> None:
    numbers = "one two three four five six seven eight nine ten eleven twelve".split()
    texts = [f"Sentence number {number}, which goes on for quite a while to fill it all up." for number in numbers]
    with engine.conversation(prompt) as talk:
        for text in texts:
            assert len(spoken(talk, text, LONG)) > 100
        kept = [segment.text for segment in talk.segments]
        assert 2 < len(kept) < len(texts) and kept == texts[-len(kept) :]


@pytest.fixture
def continuing(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[Path]:
    """A checkpoint that was made for prompts that are continued."""
    copy = shutil.copytree(tiny_checkpoint, tmp_path / "continuing")
    path = copy / "generation_config.json"
    told = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(told | {"voice_prompt_style": "continue"}))
    yield copy


def test_a_prompt_without_a_style_is_followed_as_the_checkpoint_was_made_for(
    tiny_checkpoint: Path, continuing: Path, prompt: VoicePrompt
) -> None:
    said: dict[tuple[str, str | None], np.ndarray] = {}
    for folder in (tiny_checkpoint, continuing):
        with Engine.load(folder, max_conversations=1) as engine:
            for style in ("context", "continue", None):
                with engine.conversation(replace(prompt, style=style)) as talk:
                    said[folder.name, style] = spoken(talk, "Hello there.")
    plain, other = tiny_checkpoint.name, continuing.name
    assert not np.array_equal(said[plain, "context"], said[plain, "continue"])
    for style in ("context", "continue"):
        assert np.array_equal(said[plain, style], said[other, style])
    assert np.array_equal(said[plain, None], said[plain, "context"])
    assert np.array_equal(said[other, None], said[other, "continue"])


@pytest.mark.parametrize("style", ["before", 1, ["continue"]])
def test_a_checkpoint_that_names_another_style_is_refused(continuing: Path, style: object) -> None:
    (continuing / "generation_config.json").write_text(json.dumps({"voice_prompt_style": style}))
    with pytest.raises(CheckpointFormatError, match=r"voice_prompt_style is .*; it must be 'context' or 'continue'"):
        open_checkpoint(continuing)


@pytest.mark.parametrize("style", ["before", "", 1, ["continue"]])
def test_a_prompt_of_another_style_is_refused(prompt: VoicePrompt, style: object) -> None:
    with pytest.raises(VoiceError, match=r"the voice prompt 'ann' has the style .*; it must be 'context', 'continue'"):
        replace(prompt, style=style)  # type: ignore[arg-type]
