"""Pictures of training are drawn without a display."""

import json

import numpy as np

from training.steps import pictures

PNG = b"\x89PNG"


def test_spectrograms_are_drawn(tmp_path):
    pictures.spectrograms(tmp_path / "speech.png", [("noise", np.random.default_rng(0).normal(0, 0.1, 9_600))] * 3)

    assert (tmp_path / "speech.png").read_bytes().startswith(PNG)


def test_losses_are_drawn_although_some_steps_lack_some(tmp_path):
    notes = [{"step": step, "loss": 1.0 / step, **({"late": 0.5} if step > 50 else {})} for step in range(1, 120)]
    (tmp_path / "codec.jsonl").write_text("\n".join(json.dumps(note) for note in notes))

    pictures.losses(tmp_path / "codec.png", tmp_path / "codec.jsonl")

    assert (tmp_path / "codec.png").read_bytes().startswith(PNG)
