"""Shards, crops of them, and the errors when they are missing."""

import numpy as np
import pytest
import torch

from tests.training.conftest import FRAMES
from training.__main__ import main
from training.codec.analysis import analyse
from training.codec.crops import PHONEME_SAMPLES
from training.corpus import corpus
from training.errors import CorruptFile, MissingInput
from training.sizes import CODEBOOKS, FRAME_SAMPLES


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


def test_crops_hold_the_codes_of_their_audio(crops, coder):
    batch = crops.batch(6, (0, 0))

    assert batch.audio.shape == (6, FRAMES * FRAME_SAMPLES) and batch.codes.shape == (6, FRAMES, CODEBOOKS)
    for audio, found, hz in zip(batch.audio, batch.codes, batch.usual_hz, strict=True):
        again = coder.codes(*coder.vectors_of(analyse(torch.from_numpy(audio), float(hz))))
        assert (again[1:-1, 2] == torch.from_numpy(found)[1:-1, 2]).float().mean() > 0.6  # but for joints and edges
    loud = np.abs(batch.audio).reshape(6, -1, PHONEME_SAMPLES).max(axis=2) > 0.05
    assert batch.phonemes.shape == loud.shape and (batch.phonemes[loud] != 0).mean() > 0.95
    assert np.array_equal(batch.audio, crops.batch(6, (0, 0)).audio)


def test_without_a_corpus_a_stage_says_which_stage_to_run(tmp_path):
    with pytest.raises(MissingInput, match=r"python -m training corpus"):
        list(corpus.shards(tmp_path))


@pytest.mark.parametrize("stage", ["codebooks", "ear", "decoder", "encoder", "gate", "lm", "export", "listen", "keep"])
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
