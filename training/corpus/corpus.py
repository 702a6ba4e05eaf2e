"""The corpus: shards of spoken sentences with phoneme and word times."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger

from training import files
from training.corpus import texts
from training.corpus.phonemes import phoneme_number
from training.corpus.synthesis import SAMPLE_RATE, Recording, speak
from training.corpus.voices import VOICES
from training.errors import CorruptFile, MissingInput
from training.steps.progress import progress

STAGE = "corpus"
SHARD_SECONDS = 1_200.0
_SECONDS_AN_UTTERANCE = (0.3, 12.0)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A spoken sentence inside a shard.

    Args:
        text: what is said.
        voice: number of the voice.
        start: first sample in the shard.
        samples: length.
        phonemes: their numbers.
        phoneme_ends_s: when each ends, from the sentence's start.
        words: their spelling, as spoken.
        word_times_s: start and end of each.
    """

    text: str
    voice: int
    start: int
    samples: int
    phonemes: tuple[int, ...]
    phoneme_ends_s: tuple[float, ...]
    words: tuple[str, ...]
    word_times_s: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Shard:
    """int16 [samples] at 24 kHz, and the sentences in it, one after the other."""

    number: int
    samples: np.ndarray
    sentences: tuple[Sentence, ...]

    def audio(self, sentence: Sentence) -> np.ndarray:
        """A sentence's audio, float32 [samples] in [-1, 1]."""
        return self.samples[sentence.start : sentence.start + sentence.samples].astype(np.float32) / 32768.0


def run(folder: Path, minutes: float, hours: float = 30.0, workers: int | None = None) -> None:
    """Write shards until there are enough hours, or the minutes are spent. Resumable: shards that exist stay.

    Args:
        folder: where the stages keep their files.
        minutes: how long to work at most.
        hours: of audio.
        workers: processes; as many as there are cores unless told.

    Raises:
        SynthesisError: flite is not installed.
        TrainingError: the disk is full.
    """
    place = folder / "corpus"
    documents_path = place / "documents.json"
    if not documents_path.exists():
        logger.info("reading documents")
        files.write_json(documents_path, texts.document_sentences())
    workers = workers or len(os.sched_getaffinity(0))
    wanted = round(hours * 3600.0 / SHARD_SECONDS)
    missing = [number for number in range(wanted) if not _paths(place, number)[1].exists()]
    watch = files.Stopwatch(minutes)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool, progress("corpus", wanted) as bar:
        bar.show(wanted - len(missing))
        running: set[Future[int]] = set()
        while (missing and watch.tick()) or running:
            while missing and len(running) < workers and watch.tick():
                running.add(pool.submit(write_shard, place, missing.pop(0)))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                logger.info("shard {} written", future.result())
                bar.advance()


def write_shard(place: Path, number: int, seconds: float = SHARD_SECONDS) -> int:
    """Make one shard; the same number and documents give the same shard.

    Args:
        place: folder of the corpus, with its documents.
        number: of the shard, and the seed of its sentences.
        seconds: of audio, at least.

    Returns:
        The number.
    """
    documents = files.read_json(place / "documents.json", STAGE)
    rng = np.random.default_rng(number)
    pieces: list[np.ndarray] = []
    sentences: list[dict[str, object]] = []
    start = 0
    for text in texts.sentences(number, documents):
        voice = int(rng.integers(len(VOICES)))
        recording = speak(text, VOICES[voice])
        if not _SECONDS_AN_UTTERANCE[0] <= recording.seconds <= _SECONDS_AN_UTTERANCE[1]:
            continue
        pieces.append(np.clip(recording.samples * 32767.0, -32768, 32767).astype(np.int16))
        sentences.append(_described(text, voice, start, recording))
        start += len(pieces[-1])
        if start >= seconds * SAMPLE_RATE:
            break
    audio_path, notes_path = _paths(place, number)
    files.write_array(audio_path, np.concatenate(pieces))
    files.write_json(notes_path, sentences)
    return number


def _described(text: str, voice: int, start: int, recording: Recording) -> dict[str, object]:
    return {
        "text": text,
        "voice": voice,
        "start": start,
        "samples": len(recording.samples),
        "phonemes": [phoneme_number(item.name) for item in recording.phonemes],
        "phoneme_ends_s": [round(item.end_s, 4) for item in recording.phonemes],
        "words": [item.name for item in recording.words],
        "word_times_s": [(round(item.start_s, 4), round(item.end_s, 4)) for item in recording.words],
    }


def _read(note: dict[str, Any]) -> Sentence:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in note.items()}
    return Sentence(**values)


def shards(folder: Path, most: int | None = None) -> Iterator[Shard]:
    """The shards there are, in order; audio is mapped, not read.

    Raises:
        MissingInput: there are none.
        CorruptFile: one is damaged.
    """
    place = folder / "corpus"
    numbers = shard_numbers(folder)[:most]
    for number in numbers:
        audio_path, notes_path = _paths(place, number)
        try:
            sentences = tuple(_read(note) for note in files.read_json(notes_path, STAGE))
        except (TypeError, AttributeError) as error:
            raise CorruptFile(f"{notes_path} is damaged. Delete it and run the stage {STAGE!r} again.") from error
        yield Shard(number, files.read_array(audio_path, STAGE), sentences)


def shard_numbers(folder: Path) -> list[int]:
    """The numbers of the shards there are.

    Raises:
        MissingInput: there are none.
    """
    numbers = sorted(int(path.stem.removeprefix("shard-")) for path in (folder / "corpus").glob("shard-*.json"))
    if not numbers:
        raise MissingInput(
            f"there is no audio in {folder / 'corpus'}. Run: python -m training corpus --folder {folder}"
        )
    return numbers


def _paths(place: Path, number: int) -> tuple[Path, Path]:
    return place / f"shard-{number:05d}.npy", place / f"shard-{number:05d}.json"
