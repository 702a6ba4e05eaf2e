"""What a GPU does before the first caller comes, who would otherwise wait for it with everybody who speaks then."""

from __future__ import annotations

import time

import numpy as np
import torch
from loguru import logger

from csm_plugin.engine.encoding import Encoding
from csm_plugin.engine.stepper import Stepper
from csm_plugin.errors import GenerationError
from csm_plugin.model.csm import CSM
from csm_plugin.settings import FRAME_SAMPLES, TEXT, Sampling

FRAMES = 4
PREFILLS = (256, 64, 20)  # positions: a long context, a piece of one, a sentence
ENCODED_FRAMES = 5


def warm_up(model: CSM, stepper: Stepper) -> None:
    """Capture the graphs that are likely to be needed and run one utterance that nobody hears; nothing on a CPU.

    Graphs are captured for greedy speech and for the checkpoint's own sampling, in all sizes. Another top_k that needs
    more is captured when it first comes: that takes as long as a few frames, for which all who speak then wait.

    Raises:
        Whatever the device does.
    """
    if not stepper.lag:
        return
    began = time.monotonic()
    top_k = model.config.generation.drawing(Sampling()).largest_top_k
    stepper.prepare([1, top_k])
    if not _speak(model, stepper, top_k):
        logger.warning("the model's first output was not finite; try another dtype", dtype=str(model.dtype))
    Encoding(model.mimi, np.zeros(ENCODED_FRAMES * FRAME_SAMPLES, np.float32)).advance(ENCODED_FRAMES)
    logger.info("warmed up", seconds=round(time.monotonic() - began, 1), graphs=stepper.graphs)


def as_warm_up_error(error: BaseException, device: torch.device) -> GenerationError:
    """Return what the loading of an engine raises when its device failed before it was ready."""
    told = (str(error).splitlines() or [""])[0]
    failure = GenerationError(
        f"the model failed on {device} before it was ready ({type(error).__name__}: {told}); if memory is short, load "
        "it with fewer max_conversations, or try graphs=False or another device"
    )
    failure.__cause__ = error
    return failure


def _speak(model: CSM, stepper: Stepper, most: int) -> bool:
    """Speak a little in the first row, then forget it; tell whether it was finite."""
    context = np.zeros((min(PREFILLS[0], model.positions - FRAMES - 1), 1 + model.config.codebooks), np.int32)
    context[::2, 1:] = TEXT
    context[1::2, 0] = TEXT
    for length in PREFILLS:
        model.prefill(0, 0, context[:length])
    held = len(context[: PREFILLS[-1]])
    model.begin(0, held, context[:1], Sampling(), 0, FRAMES)
    steps = [stepper.launch([0], [held + number], top_k) for number, top_k in enumerate((most, 1) * (FRAMES // 2))]
    finite = [step.wait().finite.all() for step in steps]
    model.end(0)
    model.clear(0)
    return all(finite)
