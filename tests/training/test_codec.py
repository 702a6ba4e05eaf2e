"""Training of decoder and encoder: they learn, go on where they stopped, and together are a codec."""

import numpy as np
import pytest
import torch

from tests.training.conftest import FRAMES
from tests.training.sizes import use_small_sizes
from training.codec import codebooks, codes, decoder, ear, encoder
from training.codec.codec import load_codec
from training.codec.decoder import DecoderTrainer
from training.codec.ear import Ear
from training.codec.encoder import EncoderTrainer
from training.codec.readouts import SECOND, THIRD
from training.corpus import corpus
from training.errors import CorruptFile, MissingInput, TrainingError
from training.sizes import CODEBOOKS, FRAME_SAMPLES

DecoderPlan, EncoderPlan, EarPlan = decoder.Plan, encoder.Plan, ear.Plan
DECODER = DecoderPlan(steps=20, slow_share=0.25, middle_share=0.5, settling=2, batch=2, frames=FRAMES, shards=1)
ENCODER = EncoderPlan(steps=20, batch=2, frames=FRAMES, shards=1)
EAR = EarPlan(steps=20, batch=2, frames=FRAMES, shards=1)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_codec(monkeypatch):
    use_small_sizes(monkeypatch)
    monkeypatch.setattr(decoder, "Plan", lambda: DECODER)
    monkeypatch.setattr(encoder, "Plan", lambda: ENCODER)
    monkeypatch.setattr(ear, "Plan", lambda: EAR)
    monkeypatch.setattr(ear, "choose", lambda _: CPU)
    monkeypatch.setattr(decoder, "choose", lambda _: CPU)  # as many threads as the other tests have
    monkeypatch.setattr(encoder, "choose", lambda _: CPU)


@pytest.fixture(params=["decoder", "encoder"])
def make(request, crops, coder):
    """Makes trainers."""
    if request.param == "decoder":
        return lambda: DecoderTrainer(DECODER, CPU, crops, coder, Ear())
    return lambda: EncoderTrainer(ENCODER, CPU, crops, coder)


@pytest.fixture
def folder(corpus_folder, coder, tmp_path):
    """A folder of its own with the corpus and its codebooks."""
    (tmp_path / "corpus").symlink_to(corpus_folder / "corpus")
    coder.save(tmp_path / codebooks.STATE)
    return tmp_path


@pytest.mark.parametrize("step", [0, 5, 12], ids=["slow", "middle", "whole"])
def test_the_decoder_learns_a_toy_batch(step, crops, coder):
    trainer = DecoderTrainer(DECODER, CPU, crops, coder, Ear())
    trainer.plan = DecoderPlan(steps=2000, slow_share=0.25, middle_share=0.5, settling=0)
    trainer.step = {0: 100, 5: 600, 12: 1100}[step]
    batch = crops.batch(2, (0, 0))

    losses = [trainer.train_step(batch)["loss"] for _ in range(16)]

    assert min(losses[-2:]) < 0.97 * max(losses[:2])


def test_the_encoder_learns_a_toy_batch(crops, coder):
    trainer = EncoderTrainer(EncoderPlan(steps=2000), CPU, crops, coder)
    trainer.step = 100
    batch = crops.batch(2, (0, 0))

    losses = [trainer.train_step(batch)["loss"] for _ in range(12)]

    assert losses[-1] < 0.9 * losses[0]


def test_a_fresh_decoder_has_the_level_of_its_target(crops, coder):
    trainer = DecoderTrainer(DECODER, CPU, crops, coder, Ear())
    batch = crops.batch(2, (0, 0))

    with torch.no_grad():
        made, _ = trainer.decode(torch.from_numpy(batch.codes))

    assert float(made.std()) == pytest.approx(float(batch.audio.std()), rel=0.5)


def test_the_decoder_grows_and_new_layers_settle_first():
    assert [DECODER.depth(step) for step in (0, 5, 10)] == [SECOND, THIRD, None]
    assert [DECODER.settles(step) for step in (4, 5, 7, 10, 12)] == [None, SECOND, None, THIRD, None]


@pytest.mark.parametrize("step", [1, 6, 15])
def test_an_interrupted_run_goes_on_bit_for_bit(step, make, tmp_path):
    first, second = make(), make()
    first.step = step
    first.take_step()
    first.save(tmp_path / "state.safetensors")
    second.load(tmp_path / "state.safetensors")

    assert second.step == first.step
    assert first.take_step() == second.take_step()
    assert all(torch.equal(a, b) for a, b in zip(first.trained.parameters(), second.trained.parameters(), strict=True))


def test_a_state_of_another_size_is_refused(make, tmp_path):
    trainer = make()
    trainer.save(tmp_path / "state.safetensors")
    name = next(iter(trainer.trained.state_dict()))
    trainer.trained.get_parameter(name).data = torch.zeros(3)

    with pytest.raises(CorruptFile, match="other sizes"):
        trainer.load(tmp_path / "state.safetensors")


def test_a_state_of_other_codebooks_is_refused(make, tmp_path):
    make().save(tmp_path / "state.safetensors")
    other = make()
    other.codebooks = "other"

    with pytest.raises(TrainingError, match="trained with other codebooks"):
        other.load(tmp_path / "state.safetensors")


def test_without_a_decoder_there_is_no_codec(folder):
    with pytest.raises(MissingInput, match=r"training decoder"):
        load_codec(folder)


def test_the_stages_train_save_draw_and_go_on_to_a_codec(folder, coder):
    for stage in (ear, decoder, encoder):
        stage.run(folder, minutes=1.0, steps=3, device="cpu")
        stage.run(folder, minutes=1.0, steps=4, device="cpu")
        assert (folder / f"{stage.STAGE}.png").exists()
        assert len((folder / f"{stage.STAGE}.jsonl").read_text().splitlines()) == 4

    codec = load_codec(folder)
    (shard,) = corpus.shards(folder)
    audio = shard.audio(shard.sentences[0])
    padded = np.pad(audio, (0, -len(audio) % FRAME_SAMPLES))
    found = codec.encode(torch.from_numpy(padded)[None, None]).audio_codes
    assert found.shape == (1, CODEBOOKS, codes.frames_of(len(audio))) and (found[:, 0] != 0).all()
    assert codec.decode(found).audio_values.shape == (1, 1, len(padded))
    assert torch.equal(codec.quantizer.acoustic_residual_vector_quantizer.layers[0].codebook.embed, coder.books[1])
