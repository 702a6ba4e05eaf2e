"""transformers beside the engine, on a small checkpoint with a processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CsmForConditionalGeneration

from csm_plugin.conversation import VoicePrompt
from csm_plugin.evaluation import parity
from csm_plugin.evaluation.errors import EvaluationError
from csm_plugin.evaluation.reference import Reference
from csm_plugin.settings import FRAME_SAMPLES, Sampling
from tests.training.sizes import small_language
from training.bundle import export


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("processed")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        export.save(CsmForConditionalGeneration(small_language()), place)
    return place


def test_greedy_codes_are_the_same_with_and_without_a_voice_prompt(
    folder: Path, prompts: list[VoicePrompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "longest_utterance", lambda text, limit: 12)
    monkeypatch.setattr(parity, "_GREEDY", Sampling(temperature=0, trim_silence=False, max_seconds=12 * 0.08))
    monkeypatch.setattr(parity, "SAMPLED_SENTENCES", 0)
    made: list[int] = []

    found = parity.compare(folder, ("Hello there.", "It is 9 o'clock."), prompts[:1], Sampling(), made.append)

    assert [pair.voice for pair in found.greedy] == [None, prompts[0].name]
    assert [pair.text for pair in found.greedy] == ["Hello there.", "It is nine o'clock."]
    assert all(pair.equal and pair.ours == 12 for pair in found.greedy)
    assert sum(made) == 2


def test_a_batch_is_sampled_decoded_and_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "GREEDY_SENTENCES", 0)
    monkeypatch.setattr(parity.Reference, "say", lambda *_, **__: [np.zeros(FRAME_SAMPLES, np.float32)] * 2)

    found = parity.compare(folder, ("Hello there.", "How are you?"), [], Sampling(), lambda count: None)

    assert [(item.heard, item.word_errors, item.words) for item in found.sampled] == [("", 2, 2), ("", 3, 3)]


def test_rows_of_a_batch_are_as_long_as_their_codes(folder: Path) -> None:
    reference = Reference(folder)

    codes = reference.codes(["Hello.", "How are you?"], [0, 1], sampling=Sampling(seed=1), max_frames=5)

    assert all(len(reference.decode(row)) == len(row) * FRAME_SAMPLES for row in codes)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="transformers cannot load"):
        Reference(tmp_path)
