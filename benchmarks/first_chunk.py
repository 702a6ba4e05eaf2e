"""How long is the wait for the first 80 ms of an utterance, with and without 1,500 positions of context?

Two conversations of one engine, in turns: one new, one that has listened for two minutes. Each utterance is interrupted
after its first chunk, so that the contexts stay as they are.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.reference import PROMPT
from benchmarks.report import percentiles, report
from csm_plugin.engine import Conversation, Engine
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.settings import FRAME_S, SAMPLE_RATE_HZ, Sampling

POSITIONS = 1_500
ROUNDS = 40
WARM_UP = 3
SAMPLING = Sampling(seed=1, trim_silence=False)


def main() -> None:
    raw: dict[str, list[float]] = {"empty": [], "full": []}
    with tempfile.TemporaryDirectory() as folder:
        write_random_checkpoint(Path(folder), "small")
        with Engine.load(folder) as engine, engine.conversation() as empty, engine.conversation() as full:
            _fill(full)
            for number in range(WARM_UP + ROUNDS):
                for name, talk in (("empty", empty), ("full", full)):
                    wait_ms = _first_chunk_ms(talk)
                    if number >= WARM_UP:
                        raw[name].append(round(wait_ms, 3))
            memory_mib = round(engine.bytes_per_conversation / 2**20, 1)
    of = {name: percentiles(values) for name, values in raw.items()}
    figures = {
        "ms to the first chunk": of,
        f"with {POSITIONS} positions over empty, p50": round(of["full"]["p50"] / of["empty"]["p50"], 2),
        "MiB a conversation": memory_mib,
    }
    report("first_chunk", __doc__.splitlines()[0], f"{WARM_UP} utterances each", figures, dict(raw))


def _fill(talk: Conversation) -> None:
    """Let a conversation listen until its cache holds 1,500 positions."""
    left_frames = POSITIONS
    while left_frames > 0:
        frames = min(left_frames, 1_000)
        sound = np.random.default_rng(left_frames).normal(0, 0.1, round(frames * FRAME_S * SAMPLE_RATE_HZ))
        talk.listen("", np.clip(sound, -1, 1).astype(np.float32)).wait()
        left_frames -= frames
    while _first_chunk_ms(talk) > 1_000:
        pass


def _first_chunk_ms(talk: Conversation) -> float:
    start = time.perf_counter()
    chunks = iter(talk.speak(PROMPT, SAMPLING))
    next(chunks)
    wait_ms = (time.perf_counter() - start) * 1000
    talk.interrupt(heard_s=0)
    return wait_ms


if __name__ == "__main__":
    main()
