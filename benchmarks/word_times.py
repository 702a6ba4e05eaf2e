"""How far off are the times of words, by the model's attention and without it?

Held-out sentences in every voice of csm-tiny. The reference is the synthesiser that the voices were learnt from: it
tells when it says each word, and its recording of the same sentence is warped onto what the model said. How far off
that reference is itself is told by recordings in another tempo, heard through the model's codec.

The fallback is measured on the same sound, as a voice's first utterance and with the pace of earlier ones.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
import torch

from benchmarks.report import report
from csm_plugin.conversation import Word, split_words
from csm_plugin.conversation.durations import Pace
from csm_plugin.engine import Engine
from csm_plugin.engine.delivery import Delivery
from csm_plugin.engine.encoding import Encoding
from csm_plugin.engine.word_times.clock import WordClock
from csm_plugin.engine.word_times.script import Script
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.model.rows import Rows
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling
from training.codec.spectra import mel_filters
from training.corpus.synthesis import Recording, speak
from training.corpus.voices import VOICES

WINDOW, HOP, BANDS = 600, 240, 40  # samples: 25 ms and 10 ms
OUT_OF_STEP = 0.4  # what a step costs that only one of two recordings takes, besides what it compares
TEMPI = (0.85, 1.2)
UNDERSTOOD = 0.2  # share of the words that a recogniser may get wrong


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the model said of a sentence, and the synthesiser's recording of it."""

    text: str
    voice: int
    pcm: np.ndarray
    words: tuple[Word, ...]
    recording: Recording


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", default="csm-tiny")
    arguments.add_argument("--sentences", type=int, default=len(HELD_OUT))
    arguments.add_argument("--temperature", type=float, default=0.6)
    given = arguments.parse_args()
    with Engine.load(given.model, device="cpu", max_conversations=1) as engine:
        attention = engine._model.alignment is not None
        made = [_say(engine, number, given.temperature) for number in range(given.sentences)]
        spoken = [each for each in made if each is not None]
        if not spoken:
            raise SystemExit(f"{given.model} ended none of {len(made)} sentences")
        reference = [off for each in spoken[:: len(TEMPI)] for off in _reference_errors_s(engine, each)]
        first = [_fallback(engine, each, Pace()) for each in spoken]
        paces = [Pace() for _ in VOICES]
        later = [_fallback(engine, each, paces[each.voice]) for each in spoken]
    sides = {
        "the checkpoint's own": [each.words for each in spoken],
        "fallback, first utterance": first,
        "fallback, pace known": later,
    }
    true_s = [_true_s(each.pcm, each.recording) for each in spoken]
    raw = {side: [_errors_ms(*pair) for pair in zip(words, true_s, strict=True)] for side, words in sides.items()}
    raw["the reference itself"] = [[round(off * 1000, 1) for off in reference]]
    clear = [_understood(each) for each in spoken]
    figures: dict[str, Any] = {
        "model": given.model,
        "method": "attention" if attention else "fallback",
        "sentences": f"{len(made)}: {len(spoken)} were spoken to their end, {sum(clear)} of those understood",
        "words": sum(len(each.words) for each in spoken),
        "ms off (starts and ends)": {side: _summary(each) for side, each in raw.items()},
    }
    if any(clear):
        understood = {side: list(compress(raw[side], clear)) for side in sides}
        figures["ms off where understood"] = {side: _summary(each) for side, each in understood.items()}
    report("word_times", __doc__.splitlines()[0], "none", figures, raw)


def _say(engine: Engine, number: int, temperature: float) -> Spoken | None:
    """Speak a sentence in one of the voices; None where it has no end, or other words than the synthesiser's."""
    text, voice = HELD_OUT[number], number % len(VOICES)
    recording = speak(text, VOICES[voice])
    if [_plain(word) for word in split_words(text)] != [_plain(word.name) for word in recording.words]:
        return None
    with engine.conversation(speaker=voice) as talk:
        utterance = talk.speak(text, Sampling(temperature=temperature, seed=number), normalize=False)
        chunks = list(utterance)
    if utterance.finish_reason != "end":
        return None
    pcm = np.concatenate([chunk.pcm for chunk in chunks])
    return Spoken(text, voice, pcm, tuple(word for chunk in chunks for word in chunk.words), recording)


def _understood(spoken: Spoken) -> bool:
    wrong, words = errors(plain(spoken.text), hear(spoken.pcm))
    return wrong <= UNDERSTOOD * words


def _fallback(engine: Engine, spoken: Spoken, pace: Pace) -> tuple[Word, ...]:
    """Time the words of a sound without attention; the pace learns from it."""
    clock = WordClock.of(Script.of(spoken.text, engine._tokenizer.place(spoken.text, 0)), pace, attention=False)
    delivery = Delivery(clock, trim=False)
    frames = []
    for pcm in spoken.pcm.reshape(-1, FRAME_SAMPLES):
        delivery.push(np.zeros(1, np.int32), pcm, np.nan)
        frames += delivery.ready()
    last, late = delivery.finish(ended=True)
    clock.teach(pace)
    return tuple([word for frame in (*frames, *last) for word in frame.words] + late)


def _true_s(pcm: np.ndarray, recording: Recording) -> np.ndarray:
    """Return when each word of a recording starts and ends in another sound of the same words, [words, 2]."""
    there, here = warp(_mel(pcm), _mel(recording.samples))
    bounds_s = np.array([(word.start_s, word.end_s) for word in recording.words])
    moments, first = np.unique(here, return_index=True)
    middles = [np.mean(part) for part in np.split(there, first[1:])]
    return np.interp(bounds_s * SAMPLE_RATE_HZ / HOP, moments, middles) * HOP / SAMPLE_RATE_HZ


def _reference_errors_s(engine: Engine, spoken: Spoken) -> list[float]:
    """Return how far off the reference is where the truth is known: other tempi, through the codec."""
    voice, found = VOICES[spoken.voice], []
    for tempo in TEMPI:
        other = speak(spoken.text, replace(voice, tempo=voice.tempo * tempo))
        true_s = np.array([(word.start_s, word.end_s) for word in other.words])
        found += np.abs(_true_s(_coded(engine, other.samples), spoken.recording) - true_s).ravel().tolist()
    return found


@torch.inference_mode()
def _coded(engine: Engine, pcm: np.ndarray) -> np.ndarray:
    """Return a sound [samples] as the model's codec gives it back."""
    mimi = engine._model.mimi
    encoding = Encoding(mimi, pcm)
    encoding.advance(len(pcm))
    codes = torch.from_numpy(np.stack(encoding.frames).astype(np.int64))
    return mimi.decode(codes[None], mimi.decoder_state(1), Rows([0], "cpu"))[0].numpy()


def _mel(pcm: np.ndarray) -> np.ndarray:
    """Return log-mel bands, each of mean 0 and variance 1, [moments, bands]."""
    window = torch.hann_window(WINDOW)
    spectrum = torch.stft(torch.from_numpy(pcm), WINDOW, HOP, window=window, return_complex=True).abs()
    level = (mel_filters(WINDOW, BANDS, SAMPLE_RATE_HZ) @ (spectrum / window.norm()) + 3e-3).log().T
    return ((level - level.mean(0)) / (level.std(0) + 1e-3)).numpy() / BANDS**0.5


def warp(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cheapest way through two sounds together (dynamic time warping), as moments of either."""
    apart = np.linalg.norm(one[:, None] - other[None], axis=2)  # [n, m]
    rows, columns = apart.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    step = np.zeros((rows, columns), np.int8)
    for diagonal in range(rows + columns - 1):
        row = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        column = diagonal - row
        ways = np.stack(
            (total[row, column], total[row, column + 1] + OUT_OF_STEP, total[row + 1, column] + OUT_OF_STEP)
        )
        step[row, column] = ways.argmin(axis=0)
        total[row + 1, column + 1] = apart[row, column] + ways.min(axis=0)
    path = [(rows - 1, columns - 1)]
    while path[-1] != (0, 0):
        here, there = path[-1]
        way = step[here, there]
        path.append((here - (way != 2), there - (way != 1)))
    return tuple(np.array(path[::-1]).T)  # type: ignore[return-value]


def _errors_ms(words: Sequence[Word], true_s: np.ndarray) -> list[float]:
    """Return how late starts and ends are told, one after the other."""
    told_s = np.array([(word.start_s, word.end_s) for word in words])
    return [round(float(value) * 1000, 1) for value in (told_s - true_s).ravel()]


def _summary(sentences: Sequence[Sequence[float]]) -> dict[str, float]:
    values = np.concatenate([np.asarray(sentence) for sentence in sentences])
    off = np.abs(values)
    return {
        "median": round(float(np.median(off)), 1),
        "p90": round(float(np.percentile(off, 90)), 1),
        "mean, signed": round(float(np.mean(values)), 1),
    }


def _plain(word: str) -> str:
    return re.sub(r"[^a-z]", "", word.lower())


if __name__ == "__main__":
    main()
