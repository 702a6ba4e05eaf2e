"""What is spoken: mixed, repeatable, and never what the checkpoint is judged by."""

from itertools import islice

from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.text import normalize
from training import tokens
from training.corpus import texts

SPOKEN = [normalize(text) for text in HELD_OUT]
DOCUMENTS = ["The plan of the garden is in this letter.", SPOKEN[0], *(text for text in SPOKEN if text not in HELD_OUT)]


def test_sentences_of_one_seed_are_repeatable():
    assert list(islice(texts.sentences(3, DOCUMENTS), 50)) == list(islice(texts.sentences(3, DOCUMENTS), 50))


def test_held_out_sentences_are_never_spoken():
    assert not set(SPOKEN) & set(islice(texts.sentences(0, DOCUMENTS), 2_000))


def test_every_character_of_a_sentence_has_a_token():
    for text in islice(texts.sentences(1, DOCUMENTS), 500):
        assert tokens.normalised(text) == text.lower()
