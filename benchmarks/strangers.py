"""Does csm-tiny follow the voice of somebody whom it was not trained on?

Two recordings of other speakers, which come with the recogniser, are voice prompts; behind each, csm-tiny speaks
held-out sentences. Whose voice it was, the nearest of the prompts of both and of its own eight tells; how high, the
median pitch against that of the prompt; what a recogniser hears of the words, the word error. The same sentences in
one of its own voices stand beside that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import moonshine_voice
import numpy as np

from benchmarks.report import report
from csm_plugin.audio import read_audio
from csm_plugin.conversation import VoicePrompt
from csm_plugin.engine import Engine
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.pitch import median_pitch_hz
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.evaluation.voice_match import VoiceMatch
from csm_plugin.settings import Sampling

SENTENCES = HELD_OUT[:24]
NEAR = 0.1
OWN = "clara"
RECORDINGS = {
    "beckett": (9.9, "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."),
    "two_cities": (
        13.0,
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
        "it was the epoch of belief, it was the epoch of incredulity.",
    ),
}
"""Of each stranger: how many seconds of the recording, and what is said in them."""


def main() -> None:
    strangers = {name: _prompt(name, *part) for name, part in RECORDINGS.items()}
    with Engine.load("csm-tiny", device="cpu") as engine:
        own = {name: engine._voices.get(name) for name in engine.voices}
        nearest = VoiceMatch({name: prompt.pcm for name, prompt in (own | strangers).items()})
        raw: dict[str, list[dict[str, Any]]] = {}
        for name, prompt in (strangers | {OWN: own[OWN]}).items():
            raw[name] = []
            for seed, text in enumerate(SENTENCES):
                sound = engine.synthesize(text, voice=prompt, sampling=Sampling(seed=seed))
                wrong, words = errors(plain(text), hear(sound))
                ratio = (median_pitch_hz(sound) or 0.0) / median_pitch_hz(prompt.pcm)
                raw[name].append({"found": nearest(sound), "pitch_ratio": ratio, "wrong": wrong, "words": words})
    figures = {name: _figures(name, cases) for name, cases in raw.items()}
    report("strangers", __doc__.splitlines()[0], "none", figures, raw)


def _prompt(name: str, seconds: float, text: str) -> VoicePrompt:
    pcm, rate = read_audio(Path(moonshine_voice.__file__).parent / "assets" / f"{name}.wav")
    return VoicePrompt(name, text, pcm[: int(seconds * rate)], rate)


def _figures(name: str, cases: list[dict[str, Any]]) -> dict[str, Any]:
    off = [abs(case["pitch_ratio"] - 1) for case in cases]
    return {
        "cases": len(cases),
        "nearest to that voice": round(float(np.mean([case["found"] == name for case in cases])), 3),
        "pitch within 10 %": round(float(np.mean([one <= NEAR for one in off])), 3),
        "pitch off, median": round(float(np.median(off)), 3),
        "word error": round(sum(case["wrong"] for case in cases) / sum(case["words"] for case in cases), 3),
    }


if __name__ == "__main__":
    main()
