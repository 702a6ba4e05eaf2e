"""An evaluation of a checkpoint, from its sentences to its files."""

import json
import os
import platform
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import csm_plugin
from csm_plugin.conversation import VoiceLibrary
from csm_plugin.engine import Engine
from csm_plugin.errors import SettingsError
from csm_plugin.evaluation import parity, picture, speed, table
from csm_plugin.evaluation.conditions import NEEDS, dialogues
from csm_plugin.evaluation.dialogue import Dialogue, speak
from csm_plugin.evaluation.errors import EvaluationError
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.parity import Parity
from csm_plugin.evaluation.reading import Listener, Reading
from csm_plugin.evaluation.recognition import load_recogniser
from csm_plugin.evaluation.speed import Speed
from csm_plugin.evaluation.table import Row
from csm_plugin.model.checkpoint import find_checkpoint
from csm_plugin.settings import Sampling

WITH_GOALS = "csm-tiny"
"""The checkpoint whose goals the table shows."""


class Meter(Protocol):
    """Shows how far an evaluation is; called from one thread."""

    def start_on(self, utterances: int) -> None:
        """Say how many utterances there will be."""

    def made(self, utterances: int, what: str) -> None:
        """Say that some more were made, and of what."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to evaluate.

    Args:
        model: a bundled name, a folder, or a hub id.
        device: as for `Engine.load`.
        parts: names of `NEEDS`; all of them if None.
        sentences: how many, 1 to 100.
        voices: names of voice prompts; all there are if None.
        sampling: how it speaks; its seed is that of the first utterance, 0 without one.
        at_once: conversations that speak at the same time.

    Raises:
        SettingsError: a value is out of range.
    """

    model: str
    device: str = "auto"
    parts: Collection[str] | None = None
    sentences: int = len(HELD_OUT)
    voices: Sequence[str] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    at_once: int = 8

    def __post_init__(self) -> None:
        unknown = sorted(set(self.parts or ()) - set(NEEDS))
        if unknown:
            raise SettingsError(f"there is no part {', '.join(unknown)}; there are {', '.join(NEEDS)}")
        if not 1 <= self.sentences <= len(HELD_OUT):
            raise SettingsError(f"sentences is {self.sentences}; it must be a number from 1 to {len(HELD_OUT)}")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out.

    Args:
        about: what was evaluated, and with what.
        rows: the table.
        readings: every utterance.
        parity: transformers beside the engine; why it was not measured; or None if nobody asked.
        speed: None if nobody asked.
    """

    about: dict[str, Any]
    rows: list[Row]
    readings: list[Reading]
    parity: Parity | str | None
    speed: Speed | None

    def write(self, folder: Path) -> None:
        """Write `evaluation.json` and `evaluation.png`, each whole or not at all.

        Raises:
            EvaluationError: they cannot be written there, or matplotlib is not installed.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(asdict(self), indent=1)
            _replace(folder / "evaluation.json", text.encode())
            _replace(folder / "evaluation.png", picture.draw(self.about["model"], self.readings, self.rows))
        except OSError as error:
            raise EvaluationError(
                f"the evaluation cannot be written to {folder} ({error.strerror}); give another folder"
            ) from error


def evaluate(order: Order, meter: Meter) -> Evaluation:
    """Let a checkpoint speak and judge it. Blocks for minutes.

    Raises:
        CSMError: the model cannot be loaded, a voice does not exist, or the model fails while it speaks.
        EvaluationError: the recogniser or matplotlib is not installed.
    """
    picture.require()
    load_recogniser()
    parts = [part for part in NEEDS if order.parts is None or part in order.parts]
    folder = find_checkpoint(order.model)
    library = VoiceLibrary.beside(folder)
    voices = [library.get(name) for name in (library.names if order.voices is None else order.voices)]
    sentences = HELD_OUT[: order.sentences]
    asked = dialogues(parts, sentences, voices, order.sampling)
    meter.start_on(
        sum(dialogue.utterances for dialogue in asked)
        + (parity.utterances(len(sentences)) if "parity" in parts else 0)
        + (min(speed.SENTENCES, len(sentences)) if "speed" in parts else 0)
    )
    measured = None
    if "speed" in parts:  # first, while nothing else is loaded
        measured = speed.measure(
            folder, order.device, sentences, order.sampling, lambda count: meter.made(count, "speed")
        )
    readings: list[Reading] = []
    if asked:
        with Engine.load(folder, device=order.device, max_conversations=order.at_once) as engine:
            readings = _read(engine, asked, Listener(voices), meter)
    compared: Parity | str | None = None
    if "parity" in parts:
        try:
            compared = parity.compare(
                folder, sentences, voices, order.sampling, lambda count: meter.made(count, "parity")
            )
        except EvaluationError as error:
            compared = str(error)
    goals = Path(order.model).name == WITH_GOALS
    about = {
        "model": order.model,
        "csm_plugin": csm_plugin.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "parts": parts,
        "sentences": len(sentences),
        "voices": [voice.name for voice in voices],
        "sampling": asdict(order.sampling),
    }
    return Evaluation(about, table.rows(parts, readings, compared, measured, goals), readings, compared, measured)


def _read(engine: Engine, asked: Sequence[Dialogue], listener: Listener, meter: Meter) -> list[Reading]:
    """Hold all dialogues, as many at once as the engine has rows; the readings come in the order of the dialogues."""

    def hold(dialogue: Dialogue) -> list[Reading]:
        return [listener.judge(dialogue, spoken) for spoken in speak(engine, dialogue)]

    with ThreadPoolExecutor(engine.max_conversations, thread_name_prefix="evaluation") as pool:
        futures = [pool.submit(hold, dialogue) for dialogue in asked]
        try:
            for future in as_completed(futures):
                readings = future.result()
                meter.made(len(readings), readings[0].condition)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            engine.close()  # ends what is being spoken
            raise
    return [reading for future in futures for reading in future.result()]


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
