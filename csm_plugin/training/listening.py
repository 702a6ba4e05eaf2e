"""The listen stage: the exported checkpoint heard by the recogniser, voice by voice, with and without context."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from loguru import logger
from rich.console import Console
from rich.table import Table

from csm_plugin.training import files, pictures
from csm_plugin.training.export import FOLDER
from csm_plugin.training.gate import voice_classifier
from csm_plugin.training.heldout import HELD_OUT
from csm_plugin.training.recognition import errors, hear, plain
from csm_plugin.training.sizes import FRAME_SAMPLES
from csm_plugin.training.speech import LONGEST_FRAMES, Speaker
from csm_plugin.training.synthesis import speak
from csm_plugin.training.voice_classifier import VoiceClassifier
from csm_plugin.training.voices import VOICES

_REFERENCE = "I would like to try the blue one, please."  # what the earlier segment says
_TEMPERATURES = (0.0, 0.6)


@dataclass(frozen=True, slots=True)
class Heard:
    """How one voice came out: word error, share that ended by itself, share in the right voice."""

    voice: str
    condition: str
    word_error: float
    ended: float
    right_voice: float


def run(folder: Path, sentences: int = 10) -> list[Heard]:
    """Judge the exported checkpoint; writes `listen.json` and `listen.png` and prints a table.

    Raises:
        MissingInput: nothing is exported, or there is no corpus.
        TrainingError: the recogniser is not installed.
    """
    speaker, classifier = Speaker(folder / FOLDER), voice_classifier(folder)
    found, pictured = [], []
    texts = [text.lower() for text in HELD_OUT[: sentences * len(VOICES)]]
    for temperature in _TEMPERATURES:
        for number in range(len(VOICES)):
            said = texts[number :: len(VOICES)]
            audio = speaker.say(said, [number] * len(said), temperature=temperature)
            found.append(_judged(f"speaker id, T {temperature}", number, said, audio, classifier))
            pictured.append((f"{VOICES[number].name}, T {temperature}: {said[0]}", audio[0]))
            logger.info("{}", found[-1])
    for number in range(len(VOICES)):
        said = texts[number :: len(VOICES)]
        reference = speak(_REFERENCE, VOICES[number]).samples
        other = (number + 3) % len(VOICES)  # an id that would name another voice, were there no context
        context = [[(other, _REFERENCE.lower(), reference)]] * len(said)
        audio = speaker.say(said, [other] * len(said), context=context)
        found.append(_judged("reference, T 0.6", number, said, audio, classifier))
        logger.info("{}", found[-1])
    files.write_json(folder / "listen.json", [asdict(item) for item in found])
    pictures.spectrograms(folder / "listen.png", pictured)
    Console().print(_table(found))
    return found


def _judged(
    condition: str, number: int, texts: list[str], audio: list[np.ndarray], classifier: VoiceClassifier
) -> Heard:
    wrong, words, ended, right = 0, 0, 0, 0
    for text, samples in zip(texts, audio, strict=True):
        more, count = errors(plain(text), hear(samples))
        wrong, words = wrong + more, words + count
        ended += len(samples) < LONGEST_FRAMES * FRAME_SAMPLES
        right += classifier(samples) == number
    return Heard(VOICES[number].name, condition, wrong / words, ended / len(texts), right / len(texts))


def _table(found: list[Heard]) -> Table:
    table = Table("condition", "voice", "word error", "ended", "right voice", title="the checkpoint, heard")
    conditions = list(dict.fromkeys(item.condition for item in found))
    for condition in conditions:
        rows = [item for item in found if item.condition == condition]
        for item in rows:
            table.add_row(
                condition, item.voice, f"{item.word_error:.1%}", f"{item.ended:.0%}", f"{item.right_voice:.0%}"
            )
        means = [
            float(np.mean([getattr(item, name) for item in rows])) for name in ("word_error", "ended", "right_voice")
        ]
        table.add_row(condition, "all", *(f"{mean:.1%}" for mean in means), end_section=True)
    return table
