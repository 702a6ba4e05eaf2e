"""Training of the codec: it learns, it goes on where it stopped, and its codebooks keep code 0 free."""

import pytest
import torch

from csm_plugin.training import codec as stage
from csm_plugin.training import corpus, sizes
from csm_plugin.training.codec import CodecTrainer, Plan, load_codec
from csm_plugin.training.crops import CropSampler
from csm_plugin.training.errors import CorruptFile, MissingInput

PLAN = Plan(steps=24, warmup_share=0.5, joint_share=0.8, batch=2, frames=8, shards=1)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_codec(monkeypatch):
    """A codec that trains in a moment."""
    config = sizes.codec_config()
    config.update(
        {"num_filters": 4, "hidden_size": 32, "upsample_groups": 32, "head_dim": 16, "num_attention_heads": 2}
    )
    config.update({"num_key_value_heads": 2, "intermediate_size": 32, "codebook_size": 16})
    monkeypatch.setattr(stage, "codec_config", lambda: config)


@pytest.fixture
def sampler(corpus_folder):
    return CropSampler(list(corpus.shards(corpus_folder)), PLAN.frames)


def test_training_brings_the_loss_down_on_a_toy_batch(sampler):
    trainer = CodecTrainer(PLAN, CPU)
    crops = sampler.batch(PLAN.batch, (0, 0))
    trainer.initialise(crops)

    losses = [trainer.train_step(crops)["loss"] for _ in range(12)]

    assert losses[-1] < 0.9 * losses[0]


def test_a_fresh_codec_has_the_level_of_its_input(sampler):
    trainer = CodecTrainer(PLAN, CPU)
    crops = sampler.batch(PLAN.batch, (0, 0))
    trainer.initialise(crops)

    audio = torch.from_numpy(crops.audio)
    with torch.no_grad():
        latents = trainer.learner(trainer.codec.encoder(audio[:, None]).latents, quantize=False, learn=False).latents
        made, _ = trainer.decode(latents)

    assert float(made.std()) == pytest.approx(float(audio.std()), rel=0.5)


def test_codebook_0_never_uses_code_0(sampler):
    trainer = CodecTrainer(PLAN, CPU)
    crops = sampler.batch(8, (0, 0))
    trainer.initialise(crops)
    trainer.place_codebooks([crops])
    trainer.step = 13  # quantised
    trainer.train_step(crops)

    codes = trainer.codec.encode(torch.from_numpy(crops.audio)[:, None]).audio_codes

    assert (codes[:, 0] != 0).all() and (codes[:, 1:] == 0).any()


@pytest.mark.parametrize("step", [5, 15, 21], ids=["continuous", "joint", "decoder"])
def test_an_interrupted_run_goes_on_bit_for_bit(step, sampler, tmp_path):
    first = CodecTrainer(PLAN, CPU)
    first.initialise(sampler.batch(PLAN.batch, (0, 0)))
    first.place_codebooks([sampler.batch(8, (1, 0))])
    first.step = step
    first.train_step(sampler.batch(PLAN.batch, (0, step)))
    first.save(tmp_path / "codec.safetensors")
    second = CodecTrainer(PLAN, CPU)
    second.load(tmp_path / "codec.safetensors")

    crops = sampler.batch(PLAN.batch, (0, step + 1))

    assert second.step == first.step
    assert first.train_step(crops) == second.train_step(crops)
    assert all(torch.equal(a, b) for a, b in zip(first.codec.parameters(), second.codec.parameters(), strict=True))


def test_a_state_of_another_size_is_refused(sampler, tmp_path, monkeypatch):
    trainer = CodecTrainer(PLAN, CPU)
    trainer.save(tmp_path / "codec.safetensors")
    config = stage.codec_config()
    config.update({"num_filters": 8})

    with pytest.raises(CorruptFile, match="other sizes"):
        CodecTrainer(PLAN, CPU).load(tmp_path / "codec.safetensors")


def test_a_codec_that_is_not_trained_far_enough_is_not_used(tmp_path):
    CodecTrainer(PLAN, CPU).save(tmp_path / stage.STATE)

    with pytest.raises(MissingInput, match="at step 0 and needs 19"):
        load_codec(tmp_path, trained="codes")


def test_the_decoder_phase_leaves_the_codes_alone(sampler):
    trainer = CodecTrainer(PLAN, CPU)
    crops = sampler.batch(PLAN.batch, (0, 0))
    trainer.initialise(crops)
    trainer.place_codebooks([sampler.batch(8, (1, 0))])
    audio = torch.from_numpy(crops.audio)[:, None]
    before = trainer.codec.encode(audio).audio_codes
    trainer.step = 20

    losses = [trainer.train_step(crops)["loss"] for _ in range(3)]

    assert torch.equal(trainer.codec.encode(audio).audio_codes, before) and len(set(losses)) == 3


def test_the_stage_trains_saves_draws_and_goes_on(corpus_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "Plan", lambda: PLAN)
    monkeypatch.setattr(stage, "choose", lambda _: CPU)  # as many threads as the other tests have
    (tmp_path / "corpus").symlink_to(corpus_folder / "corpus")

    stage.run(tmp_path, minutes=1.0, steps=3, device="cpu")
    stage.run(tmp_path, minutes=1.0, steps=4, device="cpu")

    assert (tmp_path / "codec.png").exists()
    assert len((tmp_path / stage.LOSSES).read_text().splitlines()) == 4
    assert load_codec(tmp_path).config.num_filters == 4
