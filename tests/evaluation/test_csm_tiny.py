"""The bundled checkpoint speaks: understood, ended, in the voices that it names, alike in transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.engine import Engine
from csm_plugin.evaluation import parity
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.pitch import median_pitch_hz
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.model.checkpoint import BUNDLED, DIGESTS, bundled_models, find_checkpoint
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling
from training.corpus.voices import VOICES

NAME = "csm-tiny"
SENTENCES = HELD_OUT[:12]
SAMPLING = Sampling(temperature=0)
WORD_ERROR = 0.2
"""Of these few sentences; `csm eval` says how much it really is."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine.load(NAME, device="cpu") as engine:
        yield engine


@pytest.fixture(scope="module")
def folder() -> Path:
    return find_checkpoint(NAME)


def test_it_is_small_whole_and_described(folder: Path) -> None:
    assert bundled_models() == [NAME] and folder == BUNDLED / NAME
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 24_000_000
    assert (folder / DIGESTS).is_file()
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("license", "flite", "word error, default voice", "RTF"):
        assert part in card


def test_it_is_understood_and_ends_by_itself(engine: Engine) -> None:
    wrong = words = 0
    with engine.conversation() as talk:
        for text in SENTENCES:
            utterance = talk.speak(text, SAMPLING)
            sound = np.concatenate([chunk.pcm for chunk in utterance])
            assert utterance.finish_reason == "end", text
            found, known = errors(plain(text), hear(sound))
            wrong, words = wrong + found, words + known
            talk.interrupt(heard_s=0)
    print(f"word error {wrong / words:.2f} over {len(SENTENCES)} sentences")
    assert wrong / words <= WORD_ERROR


def test_every_voice_prompt_is_followed_in_pitch(engine: Engine) -> None:
    assert engine.voices == sorted(voice.name for voice in VOICES)
    for name in engine.voices:
        prompt = engine._voices.get(name)
        with engine.conversation(voice=name) as talk:
            sound = np.concatenate([chunk.pcm for chunk in talk.speak(SENTENCES[0])])
        ratio = median_pitch_hz(sound) / median_pitch_hz(prompt.pcm)
        print(f"{name}: {ratio:.2f} of the prompt's pitch")
        assert 0.85 <= ratio <= 1.15, name


def test_every_word_has_a_time_within_the_sound(engine: Engine) -> None:
    with engine.conversation() as talk:
        for text in SENTENCES[:3]:
            chunks = list(talk.speak(text))
            words = [word for chunk in chunks for word in chunk.words]
            assert " ".join(word.text for word in words) == text
            seconds = sum(len(chunk.pcm) for chunk in chunks) / SAMPLE_RATE_HZ
            assert all(0 <= word.start_s <= word.end_s <= seconds + 0.08 for word in words)
            assert [word.start_s for word in words] == sorted(word.start_s for word in words)


def test_transformers_makes_the_same_codes_of_it(folder: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "SAMPLED_SENTENCES", 0)
    prompt = engine._voices.get(engine.voices[0])
    found = parity.compare(folder, SENTENCES[:2], [prompt], Sampling(), lambda count: None)
    assert all(pair.equal and pair.ours > 10 for pair in found.greedy if pair.comparable)
    assert found.greedy[0].comparable
