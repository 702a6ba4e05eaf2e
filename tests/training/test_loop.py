"""The loop of the stages: what it saves, and when it stops."""

import os
import signal

import pytest

from training.steps.loop import geometric, train


class Counter:
    """A trainer that counts, and that is asked to stop at some step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.step, self.stop_at = 0, stop_at

    def take_step(self) -> dict[str, float]:
        self.step += 1
        if self.step == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"loss": 1.0 / self.step}

    def save(self, path):
        path.write_text(str(self.step))


def test_it_ends_with_the_plan_and_notes_every_step(tmp_path):
    train(Counter(), "stage", 5, tmp_path, minutes=1.0)

    assert (tmp_path / "stage.safetensors").read_text() == "5"
    assert len((tmp_path / "stage.jsonl").read_text().splitlines()) == 5 and (tmp_path / "stage.png").exists()


def test_a_stopped_stage_is_saved_and_does_not_end_well(tmp_path):
    with pytest.raises(SystemExit, match="143"):
        train(Counter(stop_at=3), "stage", 100, tmp_path, minutes=1.0)

    assert (tmp_path / "stage.safetensors").read_text() == "3"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_rates_fall_by_equal_factors():
    assert [geometric(1.0, 0.01, share) for share in (-1, 0, 0.5, 1, 2)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])
