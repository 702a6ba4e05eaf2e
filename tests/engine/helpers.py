"""Short forms for tests of the engine."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np

from csm_plugin.engine import Conversation, Engine, Utterance
from csm_plugin.engine.stepper import PendingStep, StepResult
from csm_plugin.settings import Sampling

GREEDY = Sampling(temperature=0, max_seconds=1.6, trim_silence=False)
TWENTY_FRAMES = Sampling(seed=5, max_seconds=1.6, trim_silence=False)


def codes_of(utterance: Utterance) -> np.ndarray:
    """Take a whole utterance and return its codes, int32 [n, codebooks]."""
    return np.concatenate([chunk.codes for chunk in utterance])


def spoken(talk: Conversation, text: str, sampling: Sampling = GREEDY) -> np.ndarray:
    return codes_of(talk.speak(text, sampling))


class Prefills:
    """Records how many positions are prefilled, as (row, start, count)."""

    def __init__(self, engine: Engine) -> None:
        self.calls: list[tuple[int, int, int]] = []
        self._prefill = engine._model.prefill
        engine._model.prefill = self._record  # type: ignore[method-assign]

    def _record(self, row: int, start: int, inputs: Any) -> None:
        self.calls.append((row, start, len(inputs)))
        self._prefill(row, start, inputs)

    @property
    def total(self) -> int:
        return sum(count for _, _, count in self.calls)


class HeldEncoder:
    """Makes no progress with an engine's encoding of sound until it is released; the engine goes on meanwhile."""

    def __init__(self, engine: Engine) -> None:
        self.background = engine._scheduler.background
        self._take_in = self.background._take_in
        self._registry = engine._scheduler.registry
        self.background._take_in = lambda session, job, frames: False  # type: ignore[method-assign]

    def release(self) -> None:
        """Let it encode what waits."""
        self.background._take_in = self._take_in  # type: ignore[method-assign]
        self._registry.wake()


class HeldStep:
    """Keeps an engine's device thread in its next step until it is let go, for 30 s at most."""

    def __init__(self, engine: Engine) -> None:
        self._stepper = engine._scheduler.live_batch.stepper
        self._launch = self._stepper.launch
        self._go_on = threading.Event()
        self.began = threading.Event()
        self.given_up = False
        """Whether nobody let it go in time."""
        self._stepper.launch = self._launch_late  # type: ignore[method-assign]

    def let_go(self) -> None:
        """Let the step end, and those after it go through."""
        self._stepper.launch = self._launch  # type: ignore[method-assign]
        self._go_on.set()

    def _launch_late(self, rows: list[int], lengths: list[int], ranks: int) -> Any:
        self.began.set()
        self.given_up = not self._go_on.wait(30)
        return self._launch(rows, lengths, ranks)


class EditedSteps:
    """Changes the results of an engine's steps: `edit(step number, result)` before the scheduler sees them."""

    def __init__(self, engine: Engine, edit: Any) -> None:
        stepper = engine._scheduler.live_batch.stepper
        self._launch = stepper.launch
        self._edit = edit
        self.steps = 0
        stepper.launch = self._launch_edited  # type: ignore[method-assign]

    def _launch_edited(self, rows: list[int], lengths: list[int], top_k: int) -> Any:
        pending = self._launch(rows, lengths, top_k)
        number, self.steps = self.steps, self.steps + 1
        return _Edited(pending, lambda result: self._edit(number, result))


class _Edited:
    def __init__(self, pending: PendingStep, edit: Any) -> None:
        self._pending = pending
        self._edit = edit

    def wait(self) -> StepResult:
        result = self._pending.wait()
        copy = replace(result, codes=result.codes.copy(), pcm=result.pcm.copy(), finite=result.finite.copy())
        self._edit(copy)
        return copy


def end_after(frames: int) -> Any:
    """Return an edit that makes every utterance end with an all-zero frame after `frames` steps."""

    def edit(number: int, result: StepResult) -> None:
        if number % (frames + 1) == frames:
            result.codes[:] = 0

    return edit
