"""Is a voice prompt better followed as context in front, or by continuing it?

csm-tiny speaks twelve pairs of held-out sentences in each of its eight voices and both styles, with the same seeds. A
pair is one conversation: its second sentence is spoken as soon as the first was, which then stands before it as
context. Judged as by `csm eval`. `primed` is the continued first sentences again, decoded behind the prompt's codes
instead of from a fresh codec state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from benchmarks.report import percentiles, report
from csm_plugin.conversation import VoicePrompt
from csm_plugin.engine import Conversation, Engine
from csm_plugin.evaluation.dialogue import Condition, Dialogue, Spoken
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.reading import Listener, Reading
from csm_plugin.model.rows import Rows
from csm_plugin.settings import FRAME_SAMPLES, VOICE_STYLES, Sampling

PAIRS = tuple(zip(HELD_OUT[40:64:2], HELD_OUT[41:64:2], strict=True))
SAMPLING = Sampling(trim_silence=False)  # endings are looked at
ONSET_FRAMES = 3


def main() -> None:
    with Engine.load("csm-tiny", device="cpu", max_conversations=1) as engine:
        prompts = [engine._voices.get(name) for name in engine.voices]
        listener = Listener(prompts)
        raw: dict[str, list[dict[str, Any]]] = {}
        for voice, prompt in enumerate(prompts):
            styled = [replace(prompt, style=style) for style in VOICE_STYLES]
            for one in styled:
                with engine.conversation(one) as talk:
                    list(talk.speak(HELD_OUT[0]))  # its sound is encoded now, and its cache known
            for pair, texts in enumerate(PAIRS):
                for one in styled:  # side by side, for whatever else the machine does
                    for name, case in _judged(engine, listener, one, texts, 100 * voice + 2 * pair):
                        raw.setdefault(name, []).append(case)
    figures = {name: _figures(cases) for name, cases in raw.items()}
    figures["primed"]["onset changed, dB below speech"] = _onset(raw["primed"])
    for turn in ("first", "second"):
        more = _more_errors(raw[f"context, {turn}"], raw[f"continue, {turn}"])
        figures[f"continue, {turn}"]["word error, points more than in context, 95 %"] = more
    report("voice_styles", __doc__.splitlines()[0], "one utterance for each voice and style", figures, raw)


def _judged(
    engine: Engine, listener: Listener, prompt: VoicePrompt, texts: tuple[str, str], seed: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Speak a conversation of two utterances and judge them: names of conditions, and what was found."""
    dialogue = Dialogue(Condition.PROMPT, texts, replace(SAMPLING, seed=seed), voice=prompt, wanted=prompt.name)
    with engine.conversation(prompt, sampling=dialogue.sampling) as talk:
        for turn, text in enumerate(texts):
            spoken, first_ms, codes = _spoken(talk, turn, text)
            case = _case(listener.judge(dialogue, spoken)) | {"first_frame_ms": first_ms}
            yield f"{prompt.style}, {'second' if turn else 'first'}", case
            if turn == 0 and prompt.style == "continue":
                pcm = _primed(engine, prompt, codes)
                primed = _case(listener.judge(dialogue, replace(spoken, pcm=pcm)))
                yield "primed", primed | {"onset_db": _changed_db(spoken.pcm, pcm), "first_frame_ms": first_ms}


def _case(reading: Reading) -> dict[str, Any]:
    return asdict(reading) | {
        "in_right_voice": reading.in_right_voice,
        "ended_well": reading.ended_well,
        "pitch_is_near": reading.pitch_is_near,
    }


def _spoken(talk: Conversation, turn: int, text: str) -> tuple[Spoken, float, np.ndarray]:
    """Return an utterance, milliseconds to its first frame, and its codes [frames, codebooks]."""
    began = time.perf_counter()
    utterance = talk.speak(text)
    pieces, codes, first_ms = [np.zeros(0, np.float32)], [], float("nan")
    for chunk in utterance:
        if not codes:
            first_ms = 1_000 * (time.perf_counter() - began)
        pieces.append(chunk.pcm)
        codes.append(chunk.codes)
    spoken = Spoken(turn, utterance.text, np.concatenate(pieces), utterance.finish_reason == "end")
    return spoken, round(first_ms, 2), np.concatenate(codes)


@torch.inference_mode()
def _primed(engine: Engine, prompt: VoicePrompt, codes: np.ndarray) -> np.ndarray:
    """Return the sound of codes that follow the prompt's in one stream of the codec, float32 [samples]."""
    mimi, rows = engine._model.mimi, Rows([0], "cpu")
    padded = np.pad(prompt.pcm, (0, -len(prompt.pcm) % FRAME_SAMPLES))
    before = mimi.encode(torch.from_numpy(padded)[None], mimi.encoder_state(), rows)
    whole = torch.cat((before, torch.from_numpy(codes.astype(np.int64))[None]), dim=1)
    state = mimi.decoder_state()
    return torch.cat([mimi.decode(frame, state, rows) for frame in whole.split(1, dim=1)], dim=1)[
        0, len(padded) :
    ].numpy()


def _changed_db(fresh: np.ndarray, primed: np.ndarray) -> list[float]:
    """How far below the level of the whole the change of each of the first frames lies, in dB."""
    level = np.sqrt((fresh**2).mean())
    changes = (fresh - primed)[: ONSET_FRAMES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return [round(float(-20 * np.log10(np.sqrt((one**2).mean()) / level + 1e-9)), 1) for one in changes]


def _onset(cases: list[dict[str, Any]]) -> list[float]:
    found = np.array([case["onset_db"] for case in cases if len(case["onset_db"]) == ONSET_FRAMES])
    return [round(float(one), 1) for one in np.median(found, axis=0)]


def _more_errors(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[float]:
    """By how many points the word error of the same sentences is higher, from 2.5 to 97.5 % of 5,000 draws of them."""
    more = np.array([other["word_errors"] - one["word_errors"] for one, other in zip(some, others, strict=True)])
    words = np.array([one["words"] for one in some])
    drawn = np.random.default_rng(0).integers(0, len(words), (5_000, len(words)))
    points = 100 * more[drawn].sum(axis=1) / words[drawn].sum(axis=1)
    return [round(float(one), 1) for one in np.percentile(points, (2.5, 97.5))]


def _figures(cases: list[dict[str, Any]]) -> dict[str, Any]:
    def share(name: str) -> float:
        return round(float(np.mean([bool(case[name]) for case in cases])), 3)

    return {
        "utterances": len(cases),
        "word error, %": round(100 * sum(c["word_errors"] for c in cases) / sum(c["words"] for c in cases), 1),
        "in that voice": share("in_right_voice"),
        "pitch within 10 %": share("pitch_is_near"),
        "ended by itself": share("ended"),
        "ended at a plausible length": share("ended_well"),
        "last word heard": share("last_word_heard"),
        "length, of what the text leads to expect": percentiles([case["length"] for case in cases]),
        "first frame, ms": percentiles([case["first_frame_ms"] for case in cases]),
    }


if __name__ == "__main__":
    main()
