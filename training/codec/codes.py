"""The corpus as the language model sees it: text tokens, codes, and what is spoken in each frame."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from loguru import logger

from training import files
from training.codec.codebooks import Coder
from training.corpus import corpus
from training.corpus.corpus import Sentence, Shard
from training.corpus.phonemes import frame_phonemes
from training.corpus.synthesis import SAMPLE_RATE
from training.errors import MissingInput, TrainingError
from training.sizes import FRAME_SAMPLES
from training.steps.progress import progress

NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence ready for the language model.

    Args:
        text: as spoken, lower case.
        voice: number of its voice.
        codes: int16 [frames, codebooks].
        phonemes: int64 [frames, 2], what is spoken a quarter and three quarters into each frame.
        character: int64 [frames], the character of `text` that each frame speaks, or `NOWHERE`.
    """

    text: str
    voice: int
    codes: np.ndarray
    phonemes: np.ndarray
    character: np.ndarray


@dataclass(frozen=True, slots=True)
class Coded:
    """A sentence of a shard and its codes, int16 [frames, codebooks]."""

    shard: Shard
    said: Sentence
    codes: np.ndarray


def prepare(folder: Path, coder: Coder, shards: int) -> Path:
    """Code the first shards, as far as they are not coded yet with these codebooks; resumable.

    Returns:
        Where the codes lie: one folder for each set of codebooks, so that codes of two never mix.
    """
    place = folder / f"codes-{fingerprint(coder)}"
    missing = [shard for shard in corpus.shards(folder, shards) if not _path(place, shard.number).exists()]
    with progress("codes", len(missing)) as bar:
        for shard in missing:
            files.write_array(_path(place, shard.number), _coded(shard, coder))
            bar.advance()
            logger.info("shard {} coded", shard.number)
    return place


def fingerprint(coder: Coder) -> str:
    """Short hash of all that decides the codes."""
    digest = hashlib.blake2b(digest_size=6)
    for field in fields(coder):
        digest.update(field.name.encode() + getattr(coder, field.name).numpy().tobytes())
    return digest.hexdigest()


def other_codebooks(state: Path, made_with: str, present: str) -> TrainingError:
    """The error for a state that was trained with other codebooks than there are."""
    return TrainingError(
        f"{state} was trained with other codebooks ({made_with}, now there are {present}). Put those back or move the "
        f"file away to train anew."
    )


def coded(folder: Path, place: Path, shards: int | None = None) -> Iterator[Coded]:
    """The sentences of the first shards, or of all that are coded.

    Raises:
        MissingInput: nothing is coded.
    """
    found = False
    for shard in corpus.shards(folder, shards):
        path = _path(place, shard.number)
        if not path.exists():
            continue
        found = True
        codes, start = np.array(files.read_array(path, "lm")), 0
        for said in shard.sentences:
            frames = frames_of(said.samples)
            yield Coded(shard, said, codes[start : start + frames])
            start += frames
    if not found:
        raise MissingInput(f"there are no codes in {place}; run: python -m training lm --folder {folder}")


def segments(folder: Path, place: Path, shards: int | None = None) -> Iterator[Segment]:
    """The sentences of the first shards, or of all that are coded, as the language model sees them.

    Raises:
        MissingInput: nothing is coded.
    """
    for sentence in coded(folder, place, shards):
        yield _segment(sentence.said, sentence.codes)


def frames_of(samples: int) -> int:
    """How many frames the codec makes of some samples."""
    return -(-samples // FRAME_SAMPLES)


def _coded(shard: Shard, coder: Coder) -> np.ndarray:
    """int16 [frames of all sentences, codebooks]."""
    found = [coder.codes(*coder.vectors(shard.audio(said), said.voice)) for said in shard.sentences]
    return torch.cat(found).numpy().astype(np.int16)


def _segment(sentence: Sentence, codes: np.ndarray) -> Segment:
    frames = len(codes)
    phonemes = frame_phonemes(sentence.phoneme_ends_s, sentence.phonemes, frames)
    text = sentence.text.lower()
    middle_s = (np.arange(frames) + 0.5) * FRAME_SAMPLES / SAMPLE_RATE
    return Segment(text, sentence.voice, codes, phonemes, _characters(text, sentence, middle_s))


def _characters(text: str, sentence: Sentence, times_s: np.ndarray) -> np.ndarray:
    """Which character is spoken at each time: a word's characters share its time evenly."""
    character = np.full(len(times_s), NOWHERE, np.int64)
    cursor = 0
    for word, (start_s, end_s) in zip(sentence.words, sentence.word_times_s, strict=True):
        at = text.find(word.lower(), cursor)
        if at < 0 or not word or end_s <= start_s:
            continue
        inside = (times_s >= start_s) & (times_s < end_s)
        share = (times_s[inside] - start_s) / (end_s - start_s)
        character[inside] = at + np.minimum((share * len(word)).astype(np.int64), len(word) - 1)
        cursor = at + len(word)
    return character


def _path(place: Path, number: int) -> Path:
    return place / f"shard-{number:05d}.npy"
