"""The loop that all stages share: step after step until the plan is done or the minutes are spent."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from loguru import logger

from training.files import Reminder, Stopwatch
from training.steps import pictures
from training.steps.progress import progress

_LOG_EVERY = 25  # steps
_STOPS = (signal.SIGINT, signal.SIGTERM)


class Trainer(Protocol):
    """What the loop drives."""

    step: int

    def take_step(self) -> dict[str, float]:
        """Take one step; returns the losses by name, "loss" among them."""
        ...

    def save(self, path: Path) -> None:
        """Write the whole state, atomically."""
        ...


def train(trainer: Trainer, stage: str, steps: int, folder: Path, minutes: float) -> None:
    """Train, save now and then and at the end, note the losses and draw them.

    Args:
        trainer: loaded, if there was a state.
        stage: its name, which is also that of its files.
        steps: of the plan.
        folder: of the stages.
        minutes: how long to work at most.

    Raises:
        SystemExit: Ctrl-C or SIGTERM came; the state is saved.
    """
    state, notes = folder / f"{stage}.safetensors", folder / f"{stage}.jsonl"
    if trainer.step:
        logger.info("{} goes on from step {}", stage, trainer.step)
    watch, reminder = Stopwatch(minutes), Reminder()
    with _stopping() as stopped, progress(stage, steps) as bar, notes.open("a") as losses:
        while trainer.step < steps and watch.tick() and not stopped:
            found = trainer.take_step()
            bar.show(trainer.step, f"loss {found['loss']:.3f}")
            losses.write(json.dumps({"step": trainer.step, **{k: round(v, 4) for k, v in found.items()}}) + "\n")
            if trainer.step % _LOG_EVERY == 0:
                losses.flush()
                logger.info("step {} {}", trainer.step, " ".join(f"{k} {v:.3f}" for k, v in found.items()))
            if reminder.due():
                trainer.save(state)
    trainer.save(state)
    if notes.stat().st_size:
        pictures.losses(folder / f"{stage}.png", notes)
    logger.info("{} at step {} of {}", stage, trainer.step, steps)
    if stopped:
        raise SystemExit(128 + stopped[0])  # as a shell has it: what would come next must not start


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """A list that is no longer empty once Ctrl-C or SIGTERM came: the step that runs is finished and saved."""
    stopped: list[int] = []
    before = {number: signal.signal(number, lambda came, _: stopped.append(came)) for number in _STOPS}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def geometric(first: float, last: float, share: float) -> float:
    """A value that goes from `first` to `last` by equal factors."""
    return first * (last / first) ** min(1.0, max(0.0, share))
