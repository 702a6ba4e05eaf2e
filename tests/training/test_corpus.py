"""Shards, crops of them, and the errors when they are missing."""

import numpy as np
import pytest

from csm_plugin.training import corpus
from csm_plugin.training.__main__ import main
from csm_plugin.training.crops import CropSampler
from csm_plugin.training.errors import CorruptFile, MissingInput
from csm_plugin.training.sizes import FRAME_SAMPLES


def test_a_shard_holds_its_sentences_one_after_the_other(corpus_folder):
    (shard,) = corpus.shards(corpus_folder)

    assert sum(sentence.samples for sentence in shard.sentences) == len(shard.samples)
    assert all(len(said.phonemes) == len(said.phoneme_ends_s) for said in shard.sentences)
    assert all(np.abs(shard.audio(said)).max() > 0.1 for said in shard.sentences)


def test_the_same_number_gives_the_same_shard(corpus_folder, tmp_path):
    place = tmp_path / "corpus"
    place.mkdir()
    (place / "documents.json").write_bytes((corpus_folder / "corpus" / "documents.json").read_bytes())
    corpus.write_shard(place, 0, seconds=30.0)

    for path in place.glob("shard-*"):
        assert path.read_bytes() == (corpus_folder / "corpus" / path.name).read_bytes()


def test_crops_have_the_asked_length_and_the_phonemes_of_their_audio(corpus_folder):
    sampler = CropSampler(list(corpus.shards(corpus_folder)), frames=10)

    crops = sampler.batch(6, (0, 0))

    assert crops.audio.shape == (6, 10 * FRAME_SAMPLES) and crops.phonemes.shape == (6, 10, 2)
    level = np.sqrt((crops.audio.reshape(6, 10, 2, -1) ** 2).mean(axis=-1))
    assert level[crops.phonemes > 0].mean() > 5 * level[crops.phonemes == 0].mean()
    assert np.array_equal(crops.audio, sampler.batch(6, (0, 0)).audio)


def test_without_a_corpus_the_codec_stage_says_which_stage_to_run(tmp_path):
    with pytest.raises(MissingInput, match=r"python -m csm_plugin.training corpus"):
        list(corpus.shards(tmp_path))


@pytest.mark.parametrize("stage", ["codec", "gate", "lm", "export", "listen", "keep"])
def test_every_stage_without_its_input_ends_with_status_1(stage, tmp_path):
    assert main([stage, "--folder", str(tmp_path), "--minutes", "0.01"]) == 1


def test_damaged_notes_of_a_shard_are_told(corpus_folder, tmp_path):
    place = tmp_path / "corpus"
    place.mkdir()
    for path in (corpus_folder / "corpus").iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    (place / "shard-00000.json").write_text('[{"text": "a"}]')

    with pytest.raises(CorruptFile, match=r"shard-00000\.json is damaged"):
        list(corpus.shards(tmp_path))
