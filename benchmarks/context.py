"""Does a long conversation make the next reply later?

Time from 30 new text positions to the first frame's sound, behind a cache that is empty or holds 1,500 positions, in
turns on the same model; and behind 1,500 positions that have to be prefilled again, as stacks without a cache do.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.reference import reply
from benchmarks.report import percentiles, report, time_ms
from csm_plugin.model.csm import CSM, TEXT
from csm_plugin.model.random_checkpoint import write_random_checkpoint

HELD = 1_500
NEW = 30
ROUNDS = 60


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = write_random_checkpoint(Path(name), "small")
        model = CSM(folder, device=torch.device("cpu"), dtype=torch.float32, rows=2)
    random = np.random.default_rng(0)
    said = np.full((HELD, 1 + model.config.codebooks), TEXT, np.int32)
    said[:, 1:] = random.integers(0, model.config.codebook_size, (HELD, model.config.codebooks))
    text = np.full((NEW, 1 + model.config.codebooks), TEXT, np.int32)
    text[:, 0] = random.integers(0, model.config.text_vocabulary, NEW)
    model.prefill(1, 0, said)
    sides = {
        "empty": lambda: reply(model, 0, 0, text),
        "1,500 held": lambda: reply(model, 1, HELD, text),
        "1,500 prefilled again": lambda: (model.prefill(0, 0, said), reply(model, 0, HELD, text)),
    }
    times: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(ROUNDS + 5):
        for side, work in sides.items():
            took = time_ms(work)
            if turn >= 5:
                times[side].append(round(took, 3))
    of = {side: percentiles(values) for side, values in times.items()}
    ratio = of["1,500 held"]["p50"] / of["empty"]["p50"]
    figures = {"ms to the first chunk": of, "1,500 held / empty": round(ratio, 3)}
    report("context", __doc__.splitlines()[0], "5 replies of each kind", figures, times)


if __name__ == "__main__":
    main()
