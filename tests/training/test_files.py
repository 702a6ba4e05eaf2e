"""Files of a stage: whole or not there."""

from pathlib import Path

import pytest
import torch

from training import files
from training.errors import CorruptFile, MissingInput, TrainingError


def test_a_missing_file_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(MissingInput, match=r"training codec"):
        files.load_tensors(tmp_path / "codec.safetensors", "codec")


def test_a_cut_file_is_told_as_damaged(tmp_path):
    path = tmp_path / "codec.safetensors"
    files.save_tensors(path, {"weight": torch.arange(1000.0)}, {"step": 1})
    path.write_bytes(path.read_bytes()[:500])

    with pytest.raises(CorruptFile, match="damaged"):
        files.load_tensors(path, "codec")


def test_tensors_and_note_come_back_as_they_were(tmp_path):
    path = tmp_path / "state.safetensors"
    files.save_tensors(path, {"weight": torch.arange(6.0).view(2, 3)}, {"step": 7})

    tensors, about = files.load_tensors(path, "codec")

    assert torch.equal(tensors["weight"], torch.arange(6.0).view(2, 3)) and about == {"step": 7}


def test_a_full_disk_leaves_the_last_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    files.write_json(path, {"step": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(TrainingError, match="No space left"):
        files.write_json(path, {"step": 2})

    assert files.read_json(path, "codec") == {"step": 1}
    assert [item.name for item in Path(tmp_path).iterdir()] == ["state.json"]


def test_a_pause_of_the_process_does_not_spend_the_minutes(monkeypatch):
    now = iter([0.0, 1.0, 1000.0, 1001.0])
    monkeypatch.setattr(files.time, "monotonic", lambda: next(now))
    watch = files.Stopwatch(minutes=1.0, longest_step_s=20.0)

    assert watch.tick() and watch.tick() and watch.tick()
