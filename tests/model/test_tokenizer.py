"""Which characters of a text its tokens stand for."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.checkpoint import BUNDLED
from csm_plugin.model.tokenizer import PlacedTokens, SegmentTokenizer
from tests.replicas.repositories import write_smol_tokenizer

SENTENCES = ["Hello there, how are you today?", "She sells seashells by the shore.", "[0]Hello. [1]Hello."]


@pytest.fixture(scope="module")
def merging_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    return folder


@pytest.fixture(scope="module")
def merging(merging_folder: Path) -> SegmentTokenizer:
    return SegmentTokenizer(merging_folder)


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


@pytest.mark.parametrize("text", [*SENTENCES, "naïve café 😀 — done", "  two  spaces ", "Hi <|end_of_text|> you", ""])
@pytest.mark.parametrize("folder", [BUNDLED / "csm-tiny"], ids=["csm-tiny"])
def test_tokens_are_those_of_transformers_and_its_chat_template(folder: Path, text: str) -> None:
    theirs = AutoTokenizer.from_pretrained(folder)
    message = {"role": "7", "content": [{"type": "text", "text": ""}]}
    template = (folder / "chat_template.jinja").read_text()
    written = theirs.apply_chat_template([message], chat_template=template, tokenize=False)
    begin, end = written.split("[7]")
    expected = [
        *theirs.encode(begin, add_special_tokens=False),
        *theirs(f"[7]{text}", add_special_tokens=False, split_special_tokens=True)["input_ids"],
        *theirs.encode(end, add_special_tokens=False),
    ]
    assert SegmentTokenizer(folder).encode(text, 7).tolist() == expected


def without_template(folder: Path, copy: Path, **settings: object) -> Path:
    shutil.copy(folder / "tokenizer.json", copy)
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    return copy


def test_a_tokenizer_that_puts_both_ends_around_a_text_says_how_segments_look(tmp_path: Path) -> None:
    write_smol_tokenizer(tmp_path)
    tokens = SegmentTokenizer(tmp_path).encode("hello", 0)
    assert (tokens[0], tokens[-1]) == (1, 2)


def test_without_a_template_llamas_ends_come_before_those_of_its_settings(merging_folder: Path, tmp_path: Path) -> None:
    copy = without_template(merging_folder, tmp_path, bos_token="h", eos_token={"content": "e"})
    assert SegmentTokenizer(copy).encode("x", 0)[[0, -1]].tolist() == [0, 1]


def test_a_template_may_put_nothing_around_a_segment(merging_folder: Path, tmp_path: Path) -> None:
    copy = without_template(
        merging_folder, tmp_path, chat_template="[{{ messages[0].role }}]{{ messages[0].content[0].text }}"
    )
    assert len(SegmentTokenizer(copy).encode("", 0)) == len("[0]")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[0].content }}", r"does not write a segment as \[speaker\]text"),
        ("{% for", "cannot be used"),
        ("{{ raise_exception('no') }}", r"cannot be used \(no\)"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "cannot be used"),
        ("{% for i in range(10**9) %}x{% endfor %}", "cannot be used"),
    ],
    ids=["another form", "broken", "refuses", "breaks out", "endless"],
)
def test_a_template_that_cannot_be_used_is_named(
    template: str, message: str, merging_folder: Path, tmp_path: Path
) -> None:
    copy = without_template(merging_folder, tmp_path, chat_template=template)
    with pytest.raises(CheckpointFormatError, match=f"chat template in .* {message}"):
        SegmentTokenizer(copy)


def test_a_space_stands_behind_the_speaker_where_a_model_knows_it(merging_folder: Path) -> None:
    spaced, plain = SegmentTokenizer(merging_folder, spaced=True), SegmentTokenizer(merging_folder)
    assert spaced.encode("hello", 0).tolist() == plain.encode(" hello", 0).tolist()
    placed = spaced.place("hello", 0)
    assert "".join(pieces("hello", placed)) == "hello"
