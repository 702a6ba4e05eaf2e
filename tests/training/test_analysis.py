"""What a frame of speech is in numbers, and the codes for it."""

import numpy as np
import pytest
import torch

from training.codec import codebooks, codes
from training.codec.analysis import ANCHOR_STEP, ENVELOPE, STEP_SAMPLES, TONE, analyse, fundamental
from training.corpus import corpus
from training.corpus.synthesis import SAMPLE_RATE
from training.sizes import CODEBOOKS, CODES, FRAME_SAMPLES, VECTOR


def voice(hz: float, frames: int = 8) -> torch.Tensor:
    times = torch.arange(frames * FRAME_SAMPLES) / SAMPLE_RATE
    return sum(torch.cos(2 * np.pi * hz * k * times) / k for k in range(1, 15))[None] * 0.1


@pytest.mark.parametrize("hz", [88.0, 130.0, 226.0])
def test_the_fundamental_has_the_phase_of_the_voice(hz):
    tone, voiced = fundamental(voice(hz), torch.tensor([hz * 1.1]))

    times = (torch.arange(tone.shape[1]) * STEP_SAMPLES + STEP_SAMPLES // 2) / SAMPLE_RATE
    wanted = torch.polar(torch.ones_like(times), 2 * np.pi * hz * times)
    middle = slice(100, -100)  # a filter knows nothing of what is before and after
    assert voiced[0, middle].all()
    assert (tone[0, middle] * wanted[middle].conj()).real.min() > 0.95


def test_silence_has_no_fundamental():
    assert not fundamental(torch.zeros(1, 4 * FRAME_SAMPLES), torch.tensor([130.0]))[1].any()


@pytest.mark.parametrize("hz", [88.0, 226.0])
def test_pitch_and_phase_of_a_frame_are_those_of_the_voice(hz):
    tone = analyse(voice(hz)[0], usual_hz=hz * 0.9).tone

    anchors_s = (torch.arange(8) * FRAME_SAMPLES + ANCHOR_STEP * STEP_SAMPLES + STEP_SAMPLES // 2) / SAMPLE_RATE
    phase = torch.stack([torch.cos(2 * np.pi * hz * anchors_s), torch.sin(2 * np.pi * hz * anchors_s)], dim=1)
    assert tone.shape == (8, TONE) and (tone[:, 4:] == 1).all()
    assert torch.allclose(tone[2:-2, 2:4], torch.tensor(np.log2(hz / 130.0)).float(), atol=0.01)
    assert (tone[2:-2, :2] * phase[2:-2]).sum(dim=1).min() > 0.95


def test_a_frame_is_analysed_from_what_was_heard_by_its_end():
    audio = voice(130.0)[0]
    cut = audio.clone()
    cut[4 * FRAME_SAMPLES :] = torch.randn(4 * FRAME_SAMPLES)

    whole, other = analyse(audio, 130.0).envelope, analyse(cut, 130.0).envelope

    assert whole.shape == (8, ENVELOPE)
    assert torch.allclose(whole[:4], other[:4], atol=1e-4) and not torch.allclose(whole[4], other[4], atol=0.1)


def test_the_codes_bring_the_vectors_back(corpus_folder, coder):
    (shard,) = corpus.shards(corpus_folder)
    said = shard.sentences[0]
    semantic, acoustic = coder.vectors(shard.audio(said), said.voice)

    found = coder.codes(semantic, acoustic)
    again = torch.stack([coder.books[book][found[:, book]] for book in range(1, CODEBOOKS)]).sum(dim=0)

    assert semantic.shape == acoustic.shape == (codes.frames_of(said.samples), VECTOR)
    assert int(found.min()) >= 0 and int(found.max()) < CODES
    assert (again - acoustic).square().sum() < 0.2 * acoustic.square().sum()


def test_speech_never_has_the_code_that_ends_an_utterance(corpus_folder, coder):
    place = codes.prepare(corpus_folder, coder, shards=1)

    assert all((sentence.codes[:, 0] != 0).all() for sentence in codes.coded(corpus_folder, place))


def test_phonemes_differ_in_their_semantic_codes(corpus_folder, coder):
    (shard,) = corpus.shards(corpus_folder)
    semantic, phonemes = [], []
    for said in shard.sentences:
        semantic.append(coder.vectors(shard.audio(said), said.voice)[0])
        phonemes.append(codebooks.frame_phonemes(said.phoneme_ends_s, said.phonemes, len(semantic[-1])))
    vectors, spoken = torch.cat(semantic), np.concatenate(phonemes)[:, 0]
    means = torch.stack([vectors[spoken == label].mean(dim=0) for label in np.unique(spoken)])

    nearest = np.unique(spoken)[torch.cdist(vectors, means).argmin(dim=1).numpy()]

    assert (nearest == spoken).mean() > 0.6


def test_the_same_corpus_gives_the_same_codebooks(corpus_folder, coder):
    codebooks.run(corpus_folder)

    assert codes.fingerprint(codebooks.load_coder(corpus_folder)) == codes.fingerprint(coder)
