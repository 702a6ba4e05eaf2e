"""How many frames a second does a small model make on a CPU, next to transformers' `generate`?

Both sides speak the same text on the same weights with the same sampling, in turns, so that both meet the same load;
each utterance includes its prefill. transformers decodes all frames at the end, this package each as it is made.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.reference import NoCodec, Ours, Reference
from benchmarks.report import percentiles, report, time_ms
from csm_plugin.model.csm import CSM
from csm_plugin.model.random_checkpoint import write_random_checkpoint

ROUNDS = 8
FRAMES = 20  # 1.6 s of sound
SHAPES: dict[str, dict[str, Any]] = {
    "3 layers of 128": {},
    "3 layers of 256": {"backbone": (3, 256, 4, 2, 1024), "depth": (3, 128, 4, 2, 512), "codes": 2048},
}


def main() -> None:
    figures, raw = {}, {}
    for shape, overrides in SHAPES.items():
        with tempfile.TemporaryDirectory() as name:
            folder = write_random_checkpoint(Path(name), "small", **overrides)
            model = CSM(folder, device=torch.device("cpu"), dtype=torch.float32, rows=8)
            reference = Reference(folder, torch.float32)
            alone, together = Ours(model, folder, 1), Ours(model, folder, 8)
            for codec in (False, True):
                case = f"{shape}, {'with' if codec else 'without'} the codec"
                raw[case] = _measure(model, reference, alone, together, codec)
                figures[case] = _summary(raw[case])
    report("frame_rate", __doc__.splitlines()[0], "1 utterance of each side", figures, raw)


def _measure(model: CSM, reference: Reference, alone: Ours, together: Ours, codec: bool) -> dict[str, list[float]]:
    """Return the milliseconds a frame (a step, for 8 rows) of each round."""
    mimi = model.mimi
    model.mimi = mimi if codec else NoCodec(mimi.frame_samples)  # type: ignore[assignment]
    sides = {
        "transformers": lambda: reference.speak(FRAMES, codec),
        "alone": lambda: alone.speak(FRAMES),
        "8 rows": lambda: together.speak(FRAMES),
    }
    for speak in sides.values():
        speak()
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, speak in sides.items():
            times[side].append(round(time_ms(speak) / FRAMES, 3))
    model.mimi = mimi
    return times


def _summary(times: dict[str, list[float]]) -> dict[str, Any]:
    of = {side: percentiles(values) for side, values in times.items()}
    reference = of["transformers"]["p50"]
    return {
        "ms a frame": of,
        "times as fast alone": round(reference / of["alone"]["p50"], 1),
        "times as fast at 8 rows": round(8 * reference / of["8 rows"]["p50"], 1),
    }


if __name__ == "__main__":
    main()
