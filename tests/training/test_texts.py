"""What is spoken: mixed, repeatable, and never what the checkpoint is judged by."""

from itertools import islice

from csm_plugin.training import texts, tokens
from csm_plugin.training.heldout import HELD_OUT

DOCUMENTS = ["The plan of the garden is in this letter.", HELD_OUT[0]]


def test_sentences_of_one_seed_are_repeatable():
    assert list(islice(texts.sentences(3, DOCUMENTS), 50)) == list(islice(texts.sentences(3, DOCUMENTS), 50))


def test_held_out_sentences_are_never_spoken():
    assert not set(HELD_OUT) & set(islice(texts.sentences(0, DOCUMENTS), 2_000))


def test_there_are_a_hundred_different_held_out_sentences():
    assert len(set(HELD_OUT)) == 100


def test_every_character_of_a_sentence_has_a_token():
    for text in islice(texts.sentences(1, DOCUMENTS), 500):
        assert tokens.normalised(text) == text.lower()
