"""Does a voice carry over: from a voice prompt, or from what was said before under the same number?

csm-tiny speaks each of three held-out sentences towards each of its eight voices, under a number that without context
names another voice. Which voice it was, the nearest voice prompt tells; how near, the distance of log spectra; how
high, the median pitch against that of the prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import report
from csm_plugin.conversation import VoicePrompt
from csm_plugin.engine import Conversation, Engine
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.pitch import median_pitch_hz
from csm_plugin.evaluation.voice_match import VoiceMatch

SENTENCES = HELD_OUT[20:23]
NEAR = 0.1
OTHER = 3  # added to a voice's number, it names another one


def main() -> None:
    with Engine.load("csm-tiny", device="cpu") as engine:
        prompts = {name: engine._voices.get(name) for name in engine.voices}
        nearest = VoiceMatch({name: prompt.pcm for name, prompt in prompts.items()})
        named = {nearest(_said(engine, speaker, SENTENCES[0])): speaker for speaker in range(len(prompts))}
        raw: dict[str, list[dict[str, Any]]] = {condition: [] for condition in CONDITIONS}
        for condition, open_talk in CONDITIONS.items():
            for name, prompt in prompts.items():
                speaker = (named[name] + OTHER) % len(prompts)
                for text in SENTENCES:
                    with open_talk(engine, prompt, speaker) as talk:
                        sound = _sound(talk, text)
                    ratio = median_pitch_hz(sound) / median_pitch_hz(prompt.pcm)
                    far = nearest.distances(sound)
                    raw[condition].append(
                        {"voice": name, "found": nearest(sound), "distance": far[name], "pitch_ratio": ratio}
                    )
    report("carry_over", __doc__.splitlines()[0], "none", {name: _figures(of) for name, of in raw.items()}, raw)


def _without(engine: Engine, prompt: VoicePrompt, speaker: int) -> Conversation:
    return engine.conversation(speaker=speaker)


def _behind_a_prompt(engine: Engine, prompt: VoicePrompt, speaker: int) -> Conversation:
    return engine.conversation(prompt, speaker)


def _behind_a_turn(engine: Engine, prompt: VoicePrompt, speaker: int) -> Conversation:
    talk = engine.conversation(speaker=speaker)
    talk.listen(prompt.text, prompt.pcm, speaker=speaker).wait()
    return talk


CONDITIONS: dict[str, Callable[[Engine, VoicePrompt, int], Conversation]] = {
    "without context": _without,
    "behind a voice prompt": _behind_a_prompt,
    "behind an earlier turn": _behind_a_turn,
}


def _said(engine: Engine, speaker: int, text: str) -> np.ndarray:
    with engine.conversation(speaker=speaker) as talk:
        return _sound(talk, text)


def _sound(talk: Conversation, text: str) -> np.ndarray:
    return np.concatenate([chunk.pcm for chunk in talk.speak(text)])


def _figures(cases: list[dict[str, Any]]) -> dict[str, Any]:
    near = [abs(case["pitch_ratio"] - 1) <= NEAR for case in cases]
    return {
        "cases": len(cases),
        "in that voice": round(float(np.mean([case["found"] == case["voice"] for case in cases])), 3),
        "pitch within 10 %": round(float(np.mean(near)), 3),
        "pitch off, median": round(float(np.median([abs(case["pitch_ratio"] - 1) for case in cases])), 3),
        "distance from that voice, median": round(float(np.median([case["distance"] for case in cases])), 2),
    }


if __name__ == "__main__":
    main()
