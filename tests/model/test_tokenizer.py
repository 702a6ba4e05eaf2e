"""Which characters of a text its tokens stand for."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from csm_plugin.model.tokenizer import PlacedTokens, SegmentTokenizer

SENTENCES = ["Hello there, how are you today?", "She sells seashells by the shore.", "[0]Hello. [1]Hello."]


@pytest.fixture(scope="module")
def merging(tmp_path_factory: pytest.TempPathFactory) -> SegmentTokenizer:
    """A byte-level tokenizer that merges, as Llama's does; `]He` can be one token."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=["<|begin_of_text|>", "<|end_of_text|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator(SENTENCES * 20, trainer)
    folder = tmp_path_factory.mktemp("merging")
    PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>"
    ).save_pretrained(folder)
    return SegmentTokenizer(folder)


def pieces(text: str, placed: PlacedTokens) -> list[str]:
    return [text[max(0, start) : max(0, end)] for start, end in zip(placed.starts, placed.ends, strict=True)]


def test_characters_are_their_own_tokens_behind_begin_and_speaker(folder: Path) -> None:
    text = "Hi, you."
    placed = SegmentTokenizer(folder).place(text, 12)
    assert pieces(text, placed) == ["", *[""] * len("[12]"), *text, ""]
    assert np.array_equal(placed.tokens, SegmentTokenizer(folder).encode(text, 12))


@pytest.mark.parametrize("text", [*SENTENCES, "naïve café 😀 — done", "  two  spaces ", "Hi <|end_of_text|> you"])
def test_merged_tokens_cover_the_text_in_order(merging: SegmentTokenizer, text: str) -> None:
    placed = merging.place(text, 0)
    spans = [(max(0, start), end) for start, end in zip(placed.starts, placed.ends, strict=True) if end > 0]
    assert len(spans) < len(text.encode()) or "<" in text
    assert spans[0][0] == 0 and spans[-1][1] == len(text)
    assert all(later[0] <= earlier[1] and earlier <= later for earlier, later in pairwise(spans))


@pytest.mark.parametrize("text", [*SENTENCES, "naïve café 😀 — done", "Hi <|end_of_text|> you"])
@pytest.mark.parametrize("behind", ["She sells seashells.", "[1]Hello", "naïve — done"])
def test_a_text_behind_another_is_read_with_it_and_has_its_own_tokens_alone(
    merging: SegmentTokenizer, behind: str, text: str
) -> None:
    placed = merging.place(text, 0, behind)
    assert np.array_equal(placed.tokens, merging.encode(f"{behind} {text}", 0))
    spans = [(max(0, start), end) for start, end in zip(placed.starts, placed.ends, strict=True) if end > 0]
    assert spans[0][0] == 0 and spans[-1][1] == len(text)
    own = np.flatnonzero(placed.ends > 0)
    assert own[0] >= len(merging.encode(behind, 0)) - 2  # merged with the space before it, it is one of its own
    assert np.array_equal(own, np.arange(own[0], own[0] + len(own))) and own[-1] == len(placed.tokens) - 2


def test_an_empty_text_has_no_token_of_its_own(merging: SegmentTokenizer) -> None:
    assert (merging.place("", 0).ends <= 0).all()
