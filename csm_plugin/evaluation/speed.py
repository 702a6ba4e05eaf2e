"""How fast a checkpoint speaks on one core, or on a GPU."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from csm_plugin.engine import Engine
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling

SENTENCES = 8


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians over some sentences, one after the other.

    Args:
        device: where it was measured.
        threads: of torch.
        rtf: seconds that passed for each second of speech.
        processor_rtf: seconds of processor time, of all threads together, for each second of speech: what `rtf` is on
            one core that does nothing else. Not for GPUs.
        first_sound_s: from the request to the first 80 ms.
    """

    device: str
    threads: int
    rtf: float
    processor_rtf: float
    first_sound_s: float


def measure(
    folder: Path, device: str, sentences: Sequence[str], sampling: Sampling, advance: Callable[[int], None]
) -> Speed:
    """Speak one sentence after the other with one thread of torch. Blocks. Not thread-safe: sets torch's threads.

    Args:
        folder: of the checkpoint.
        device: as for `Engine.load`.
        sentences: what is read; the first of them, and the very first one more time beforehand.
        sampling: how.
        advance: called after each.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Engine.load(folder, device=device, max_conversations=1) as engine:
            engine.synthesize(sentences[0], sampling=sampling)
            times = []
            for text in sentences[:SENTENCES]:
                times.append(_speak(engine, text, sampling))
                advance(1)
            where = engine.device
    finally:
        torch.set_num_threads(threads)
    passed, worked, first = np.median(times, axis=0)
    return Speed(where, 1, float(passed), float(worked), float(first))


def _speak(engine: Engine, text: str, sampling: Sampling) -> tuple[float, float, float]:
    """Seconds and processor seconds for each second of speech, and seconds to the first sound."""
    samples, first_s = 0, 0.0
    with engine.conversation(sampling=sampling) as talk:
        began, worked = time.perf_counter(), time.process_time()
        for chunk in talk.speak(text):
            first_s = first_s or time.perf_counter() - began
            samples += len(chunk.pcm)
        passed_s, worked_s = time.perf_counter() - began, time.process_time() - worked
    spoken_s = max(samples, 1) / SAMPLE_RATE_HZ
    return passed_s / spoken_s, worked_s / spoken_s, first_s
