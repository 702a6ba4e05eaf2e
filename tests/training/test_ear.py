"""The ear: it learns phonemes, and hears what differs."""

import torch

from training.codec import ear
from training.codec.ear import Ear, EarTrainer

CPU = torch.device("cpu")
PLAN = ear.Plan(steps=60, batch=4, warmup_steps=5)


def test_it_learns_the_phonemes_of_a_toy_batch(crops):
    trainer = EarTrainer(PLAN, CPU, crops)
    batch = crops.batch(4, (0, 0))

    found = [trainer.train_step(batch) for _ in range(30)]

    assert found[-1]["right"] > found[0]["right"] + 0.2


def test_loudness_is_nothing_to_it_and_other_speech_is(crops):
    torch.manual_seed(0)
    audio = torch.from_numpy(crops.batch(2, (0, 0)).audio)
    net = Ear()

    itself, quieter, other = (net.distance(made, audio)["heard"] for made in (audio, 0.7 * audio, audio.flip(0)))

    assert itself == 0
    assert quieter < 0.2 * other


def test_an_interrupted_run_goes_on_bit_for_bit(crops, tmp_path):
    first, second = EarTrainer(PLAN, CPU, crops), EarTrainer(PLAN, CPU, crops)
    first.take_step()
    first.save(tmp_path / "ear.safetensors")
    second.load(tmp_path / "ear.safetensors")

    assert first.take_step() == second.take_step()
